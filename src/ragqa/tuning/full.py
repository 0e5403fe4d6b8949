"""Every weight trains but those that ``freeze`` names: the most capacity, the largest file."""

from pathlib import Path

from ragqa.protocols import Tunable


class FullTuning:
    """Nothing is added and nothing is frozen."""

    rate = 1.0
    added_tokens = 0
    folds = True

    def apply(self, model: Tunable) -> None:
        """Let every parameter train."""
        model.requires_grad_(True)

    def merge(self, model: Tunable) -> None:
        """Nothing stands beside the weights."""

    def export(self, model: Tunable, folder: Path) -> None:
        """No other format holds it better than our own."""
