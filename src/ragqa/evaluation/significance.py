"""Is the difference between two systems on the same questions real? Pure functions of two score lists.

Paired bootstrap for the interval (Efron and Tibshirani 1993; Koehn 2004), paired randomisation for the p-value
(Noreen 1989; Smucker, Allan, Carterette 2007): under the null hypothesis the two scores of a question could be swapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLES = 10_000
_BLOCK = 1_000
"""Samples drawn at once: 1,000 rows of 10,000 questions are 80 MB."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of after - before, its 95 % interval and the two-sided p-value; ``n`` questions."""

    mean: float
    low: float
    high: float
    p: float
    n: int


def paired(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Difference:
    """Compare two systems by their scores on the same questions.

    The p-value counts the observed difference itself among the samples, so it is never 0
    (North, Curtis, Sham 2002): p = (1 + #{|mean of swapped| ≥ |mean|}) / (1 + samples).

    Raises:
        ValueError: no scores, or lists of unlike length.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} scores before, {len(after)} after")
    gains = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    rng = np.random.default_rng(seed)
    observed = float(gains.mean())
    means, extreme = [], 0
    for _ in range(SAMPLES // _BLOCK):
        means.append(gains[rng.integers(len(gains), size=(_BLOCK, len(gains)))].mean(axis=1))
        signs = rng.integers(2, size=(_BLOCK, len(gains)), dtype=np.int8) * 2 - 1
        # Sums of equal terms in another order differ in the last bit, and are as extreme.
        extreme += int((np.abs((signs * gains).mean(axis=1)) >= abs(observed) - 1e-12).sum())
    low, high = _interval(np.concatenate(means))
    return Difference(observed, low, high, (1 + extreme) / (1 + SAMPLES), len(gains))


def mean_interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean over questions, by bootstrap.

    Raises:
        ValueError: no scores.
    """
    if not len(scores):
        raise ValueError("no scores")
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [
        values[rng.integers(len(values), size=(_BLOCK, len(values)))].mean(axis=1)
        for _ in range(SAMPLES // _BLOCK)
    ]
    return _interval(np.concatenate(means))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, corrected so that one false alarm among all stays as unlikely (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = highest
    return found


def _interval(means: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
