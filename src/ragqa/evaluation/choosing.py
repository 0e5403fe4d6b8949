"""Which value of a setting to take, from the scores of questions under each: pure functions that distrust noise.

The rule is that of one standard error (Breiman, Friedman, Olshen and Stone 1984, section 3.4.3): all values within one
standard error of the best are as good, the present one before any other. The error is that of the difference to the
best one on the same questions.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragqa.evaluation.abstention import risk_coverage

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NOTHING = 0.002
"""A difference of means that is not worth a change, however sure, and the most that a floor may be missed by."""


def as_good(scores: Floats, groups: Sequence[str], floors: Sequence[int] = ()) -> Flags:
    """Which values are no worse than the best, within noise, (K,); the best always is.

    Args:
        scores: (N, K), each question under each value.
        groups: what each question belongs to, (N,): those of one group are no independent witnesses.
        floors: columns that a good one may not be worse than by more than ``NOTHING``, whatever the noise.

    Raises:
        ValueError: there is no question.
    """
    if not len(scores):
        raise ValueError("no question has a score")
    means = scores.mean(axis=0)
    best = int(means.argmax())
    errors = np.array([standard_error(scores[:, best] - column, groups) for column in scores.T])
    least = max((float(means[k]) for k in floors), default=-np.inf) - NOTHING
    good: Flags = (means[best] - means <= np.maximum(NOTHING, errors)) & (means >= least)
    return good


def nearest(good: Flags, values: Sequence[float], present: int) -> int:
    """The good value nearest to the present one: for settings that cost time."""
    return min(np.flatnonzero(good).tolist(), key=lambda k: (abs(values[k] - values[present]), k))


def middle(good: Flags, values: Sequence[float], present: int) -> int:
    """The present value while it is good, else the middle of the widest run of good ones: no edge of a plateau.

    Args:
        values: of the setting, (K,), ascending.
    """
    if good[present]:
        return present
    there = np.flatnonzero(good)
    runs = [run.tolist() for run in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)]
    widest: list[int] = max(runs, key=lambda run: values[run[-1]] - values[run[0]])
    centre = (values[widest[0]] + values[widest[-1]]) / 2
    return min(widest, key=lambda k: (abs(values[k] - centre), abs(values[k] - values[present])))


def smoothed(means: Floats, reach: int = 2) -> Floats:
    """Each value's mean over itself and up to ``reach`` neighbours on either side, (K,).

    For a curve of many close values: the best of them by itself is often a lucky one.
    """
    return np.array([means[max(0, k - reach) : k + reach + 1].mean() for k in range(len(means))])


def standard_error(values: Floats, groups: Sequence[str]) -> float:
    """Of the mean of ``values``, (N,), whose groups are independent and whose members need not be.

    √(C / (C - 1) · Σ_c (Σ_{i∈c} (x_i - x̄))²) / N over C groups (Liang and Zeger 1986 for a mean); of groups of one
    that is s / √N. Infinite for a single group.
    """
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(number, weights=values - values.mean())
    if len(sums) < 2:
        return float("inf")
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def wilson(wrong: int, given: int, z: float = 1.96) -> tuple[float, float]:
    """Both ends of the Wilson score interval (Wilson 1927) of ``wrong`` / ``given`` at ``z`` standard errors.

    (w + z²/2 ± z √(w (n - w) / n + z²/4)) / (n + z²)

    Raises:
        ValueError: ``given`` is 0.
    """
    if not given:
        raise ValueError("a share of nothing")
    half = z * math.sqrt(wrong * (given - wrong) / given + z * z / 4)
    middle, whole = wrong + z * z / 2, given + z * z
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def threshold_for_risk(confidence: Floats, right: Flags, max_risk: float) -> float | None:
    """The least confidence that answers most questions with at most ``max_risk`` wrong ones among the answers.

    What has to stay below is the upper end of the ``wilson`` interval at one standard error, not the share itself: the
    lucky end of a curve is no operating point, and even of n flawless answers the bound is 1 / (n + 1). In a
    simulation with a risk of 0.1 the true share then stayed below for 79 % of samples of 200 questions and 85 % of
    those of 800; chosen by the share itself, for 40 % of both. With 50 it was 41 %: so few tell nothing.
    The threshold lies halfway to the next lower confidence, where the last bit of a score decides nothing.

    Args:
        confidence, right: of each question's candidate, (N,).

    Returns:
        None where no threshold keeps to it.

    Raises:
        ValueError: there is no question.
    """
    levels, bounds = _bounds(confidence, right)
    allowed = np.flatnonzero(bounds <= max_risk)
    if not len(allowed):
        return None
    at = int(allowed.max())
    below = levels[at + 1] if at + 1 < len(levels) else 0.0
    return float((levels[at] + below) / 2)


def least_risk(confidence: Floats, right: Flags) -> float:
    """The least ``max_risk`` that some threshold keeps to."""
    return float(_bounds(confidence, right)[1].min())


def _bounds(confidence: Floats, right: Flags) -> tuple[Floats, Floats]:
    """Each confidence, greatest first, and the upper bound of the risk of answering from there on up."""
    levels: Floats = np.unique(confidence)[::-1]
    curve = risk_coverage(confidence, right.astype(np.float64))
    given = np.round(curve.coverage * len(confidence)).astype(int)
    wrong = np.round(curve.risk * given).astype(int)
    return levels, np.array([wilson(int(w), int(n), z=1.0)[1] for w, n in zip(wrong, given, strict=True)])
