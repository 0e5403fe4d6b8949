"""Measures of a classification: the confusion matrix, and precision, recall and F1 of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Of one class: right among those said, found among those there, their harmonic mean, and how many there are."""

    precision: float
    recall: float
    f1: float
    support: int


def confusion(gold: Sequence[int], said: Sequence[int], classes: int) -> npt.NDArray[np.int64]:
    """How often class i (row) was taken for class j (column), shape (classes, classes).

    Raises:
        ValueError: lists of unlike length, or a class that is not there.
    """
    if len(gold) != len(said):
        raise ValueError(f"{len(gold)} gold classes, {len(said)} said")
    found = np.zeros((classes, classes), dtype=np.int64)
    for right, taken in zip(gold, said, strict=True):
        if not (0 <= right < classes and 0 <= taken < classes):
            raise ValueError(f"class {right} taken for {taken}; there are {classes}")
        found[right, taken] += 1
    return found


def by_class(matrix: npt.NDArray[np.int64]) -> list[ClassScores]:
    """The scores of each class of a confusion matrix; a share of nothing is 0."""
    found = []
    for number in range(len(matrix)):
        right = int(matrix[number, number])
        there, said = int(matrix[number].sum()), int(matrix[:, number].sum())
        f1 = 2 * right / (there + said) if there + said else 0.0
        found.append(ClassScores(right / said if said else 0.0, right / there if there else 0.0, f1, there))
    return found


def by_letter(matrix: npt.NDArray[np.int64]) -> dict[str, ClassScores]:
    """The same by letter, where the classes are the options of questions in their order: A, B, C and so on."""
    return {chr(ord("A") + number): scores for number, scores in enumerate(by_class(matrix))}


def table(matrix: npt.NDArray[np.int64]) -> list[list[str]]:
    """Cells of text: a heading, then for each letter its scores in percent and how often each letter was said."""
    scores = by_letter(matrix)
    rows = [["", "precision", "recall", "F1", "questions", *(f"said {letter}" for letter in scores)]]
    for (letter, one), said in zip(scores.items(), matrix, strict=True):
        shares = (f"{100 * share:.1f}" for share in (one.precision, one.recall, one.f1))
        rows.append([letter, *shares, str(one.support), *map(str, said)])
    return rows


def accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Share of the diagonal; 0 for an empty matrix."""
    return float(np.trace(matrix) / matrix.sum()) if matrix.sum() else 0.0
