"""What a loader does with a bad record."""

from collections.abc import Callable

from ragqa.errors import DataError

OnBad = Callable[[DataError], None]


def refuse(fault: DataError) -> None:
    """The strict way to meet a bad record: stop."""
    raise fault
