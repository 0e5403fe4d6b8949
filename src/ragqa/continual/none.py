"""Nothing: what is learned is what the data says, and earlier skills may fade."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragqa.protocols import Tunable
from ragqa.types import Example


class NoneContinual:
    """Adds no question, no penalty and no file."""

    def begin_task(self, model: Tunable, examples: Sequence[Example]) -> Sequence[Example]:
        """The examples as they are."""
        return examples

    def penalty(self, model: Any) -> Any:
        """None: the loss is that of the task alone."""
        return None

    def end_task(self, folder: Path) -> None:
        """Nothing is left for the next task."""
