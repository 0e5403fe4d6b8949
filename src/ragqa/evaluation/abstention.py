"""How well a confidence tells right answers from wrong ones: risk, coverage, Brier score, and refusals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Shares of questions answered, (N,), and of wrong answers among them, (N,), most confident first.

    ``area`` under the curve, 0 to 1, is the mean risk over all coverages (Geifman and El-Yaniv 2017).
    """

    coverage: Floats
    risk: Floats
    area: float


def risk_coverage(confidence: Floats, right: Floats) -> RiskCoverage:
    """The curve of one system; questions of equal confidence are answered together.

    Raises:
        ValueError: there is no question.
    """
    if not len(confidence):
        raise ValueError("no question has a confidence")
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(1 - right[order])
    count = np.arange(1, len(order) + 1)
    # Only behind the last of equal confidences does a threshold stand.
    last = np.append(np.diff(confidence[order]) != 0, True)
    ends = np.flatnonzero(last)
    group = np.searchsorted(ends, np.arange(len(order)))
    risk = (wrong / count)[ends]
    return RiskCoverage(count[ends] / len(order), risk, float(risk[group].mean()))


def coverage_at(curve: RiskCoverage, most_risk: float) -> float:
    """The greatest share of questions that can be answered with at most ``most_risk`` wrong answers among them."""
    allowed = curve.coverage[curve.risk <= most_risk + 1e-12]
    return float(allowed.max()) if len(allowed) else 0.0


def brier(confidence: Floats, right: Floats) -> float:
    """Mean squared distance of confidence and outcome (Brier 1950); 0 is perfect."""
    return float(np.mean((confidence - right) ** 2)) if len(right) else 0.0


@dataclass(frozen=True, slots=True)
class Refusals:
    """Precision and recall of "not in these documents"; None where nothing was refused, or nothing should be."""

    precision: float | None
    recall: float | None


def refusals(refused: npt.NDArray[np.bool_], answerable: npt.NDArray[np.bool_]) -> Refusals:
    """Of the refused questions those that nothing answers, and of these the refused ones."""
    both = int((refused & ~answerable).sum())
    said, should = int(refused.sum()), int((~answerable).sum())
    return Refusals(both / said if said else None, both / should if should else None)
