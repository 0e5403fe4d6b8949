"""What ``ragqa tune`` hands from stage to stage: questions in folds, curves, gains and the values found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ragqa.config import Config
from ragqa.evaluation.fusing import RankedLeg
from ragqa.evaluation.significance import Difference, paired
from ragqa.gold import Located

FOLDS = 5
LEFT_OUT = "left-out questions"
"""Where a gain was seen: each question under what was chosen without its fold."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Legs = Sequence[tuple[RankedLeg, RankedLeg]]


@dataclass(frozen=True, slots=True)
class Curve:
    """The mean score of the questions under each value of one setting, and which value was and is now taken.

    ``scores`` holds one or more measures by name; the first one decides.
    """

    setting: str
    values: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]
    present: float
    chosen: float
    questions: int


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure before and after, on questions that had no part in the choice; ``where`` names them."""

    measure: str
    where: str
    before: float
    after: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class Given:
    """Of ``questions`` that were left out so many were ``given`` an answer, and so many of these were ``wrong``."""

    questions: int
    given: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a run found: the configuration with the fitted values, and how they came about."""

    config: Config
    curves: tuple[Curve, ...]
    gains: tuple[Gain, ...]
    questions: int
    left_out: int
    notes: tuple[str, ...]
    answers: tuple[Given, Given] | None = None
    """Answers given before and after, where answers were judged."""


@dataclass
class Found:
    """What the stages leave one after another."""

    curves: list[Curve] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    answers: tuple[Given, Given] | None = None

    def tell(self, measure: str, where: str, before: Floats, after: Floats, groups: Sequence[str]) -> None:
        """Add the gain of a measure over the same questions, (N,) each; those of one group count together."""
        change = paired(before.tolist(), after.tolist(), groups=groups)
        self.gains.append(Gain(measure, where, float(before.mean()), float(after.mean()), change))


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with their legs, what each belongs to, and the fold of each; -1 for those that only judge."""

    asked: Sequence[Located]
    legs: Legs
    groups: Sequence[str]
    fold_of: npt.NDArray[np.int64]

    @property
    def parts(self) -> list[Flags]:
        """The questions that are chosen on: all of them first, then all but those of each fold."""
        fitted = self.fold_of >= 0
        return [fitted, *(fitted & (self.fold_of != fold) for fold in range(FOLDS))]

    def only(self, keep: Flags) -> "Questions":
        rows = np.flatnonzero(keep).tolist()
        return Questions(
            [self.asked[row] for row in rows],
            [self.legs[row] for row in rows],
            [self.groups[row] for row in rows],
            self.fold_of[keep],
        )

    def groups_of(self, part: Flags) -> list[str]:
        """What each question of a part belongs to."""
        return [group for group, inside in zip(self.groups, part, strict=True) if inside]

    def left_out(self, under: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """What holds of each question under what was chosen without its fold, (N,).

        Args:
            under: the same of all questions under what was chosen on each of ``parts``, (N,) each.
        """
        return np.stack(under[1:])[self.fold_of, np.arange(len(self.asked))]


def worse(before: Floats, after: Floats) -> bool:
    """Whether the mean fell, by more than the rounding of sums."""
    return bool(after.mean() < before.mean() - 1e-12)
