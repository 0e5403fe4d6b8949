"""What a target gives to a run: the model, how it learns, how it is judged, and the folder that it leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ragqa.training.judging import Comparison
from ragqa.training.trainer import Objective
from ragqa.types import Example

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One target, ready to be tuned and trained.

    Attributes:
        measure: what ``validate`` gives, as people read it.
        goes_on: whether the model has been trained for this before.
        save: writes the best tensors, with their score, as a model into a folder.
        finish: what a model needs beside its weights (a calibration).
        compare: the model in a folder beside the one before it, on the test part; None where that has no question.
    """

    model: Any
    objective: Objective
    training: Sequence[Example]
    measure: str
    validate: Callable[[Any], float]
    goes_on: bool
    save: Callable[[Path, Mapping[str, Tensor], float], None]
    finish: Callable[[Path], None]
    compare: Callable[[Path], Comparison | None]
