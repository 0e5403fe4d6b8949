"""Records that cannot be used are named on stderr: the first ones, then how many more there are."""

from ragqa.cli.printing import complain

SHOWN = 10


class LeftOut:
    """Takes the reason for each record; ``kept`` tells people where all of them are."""

    def __init__(self, kept: str) -> None:
        self._kept = kept
        self.reasons: list[str] = []
        self._untold = 0

    def __call__(self, fault: object) -> None:
        self.reasons.append(str(fault))
        if len(self.reasons) <= SHOWN:
            complain(f"left out: {fault}")
        else:
            self._untold += 1

    def close(self) -> None:
        """Tell how many were not shown since the last time."""
        if self._untold:
            complain(f"left out: {self._untold:,} more; {self._kept}")
        self._untold = 0
