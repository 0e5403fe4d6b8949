"""Raw scores → probability of being right: logistic calibration on a few features, and its measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RETRIEVAL_WEIGHTS = (0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0)
"""The weights of the retrieval score beside a span's log probability that are tried for a reader."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(right | x) = 1 / (1 + exp(−(bias + w · x))) over named features.

    ``threshold`` is the operating point: below it the answer is "not in these documents".
    """

    weights: Mapping[str, float]
    bias: float
    threshold: float

    def probability(self, features: Mapping[str, float]) -> float:
        """The calibrated probability; a feature that is not named here is ignored."""
        score = self.bias + sum(w * features[name] for name, w in self.weights.items())
        return float(1 / (1 + np.exp(-np.clip(score, -50, 50))))

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"weights": dict(self.weights), "bias": self.bias, "threshold": self.threshold}


def fit(
    rows: Sequence[Mapping[str, float]], right: Sequence[bool], *, names: Sequence[str], l2: float = 1e-3
) -> Calibration:
    """Logistic regression by Newton's method on standardised features; threshold 0.5.

    Args:
        rows: features of each question; only those in ``names`` are used.
        right: whether the answer was right.
        l2: ridge on the standardised weights, per example.
    """
    x = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    y = np.array(right, dtype=np.float64)
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    design = np.hstack([np.ones((len(x), 1)), (x - mean) / scale])
    ridge = np.diag([0.0] + [l2 * len(x)] * len(names))
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -50, 50)))
        gradient = design.T @ (p - y) + ridge @ beta
        # The small diagonal keeps the Hessian invertible when the classes are separable.
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        beta -= np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-10:
            break
    weights = beta[1:] / scale
    return Calibration(
        dict(zip(names, map(float, weights), strict=True)), float(beta[0] - weights @ mean), threshold=0.5
    )


def expected_calibration_error(confidence: Floats, right: Floats, bins: int = 15) -> float:
    """ECE = Σ_b |b| / N · |accuracy(b) − confidence(b)| over equal-width bins (Guo et al. 2017, equation 5)."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs((right - confidence)[which == b].sum()) for b in range(bins)]
    return float(sum(gaps) / max(1, len(confidence)))


def operating_point(confidence: Floats, answerable: npt.NDArray[np.bool_], max_refused: float) -> float:
    """The highest threshold that refuses at most ``max_refused`` (a share) of the answerable questions."""
    kept = np.sort(confidence[answerable])
    return float(kept[min(len(kept) - 1, int(np.floor(max_refused * len(kept))))]) if len(kept) else 0.5
