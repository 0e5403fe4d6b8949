"""Is the difference between two systems on the same questions real? Pure functions of two score lists.

Paired bootstrap for the interval (Efron and Tibshirani 1993; Koehn 2004), paired randomisation for the p-value
(Noreen 1989; Smucker, Allan, Carterette 2007): under the null hypothesis the two scores of a question could be swapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLES = 10_000
_BLOCK = 1_000
"""Samples drawn at once: 1,000 rows of 10,000 questions are 80 MB."""
_FEW = 800
"""Up to so many different scores, drawing how often each occurs is faster than drawing questions."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of after - before, its 95 % interval and the two-sided p-value; ``n`` questions."""

    mean: float
    low: float
    high: float
    p: float
    n: int

    def told(self) -> str:
        """The mean and the interval as a table shows them."""
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def paired(
    before: Sequence[float], after: Sequence[float], seed: int = 0, groups: Sequence[str] | None = None
) -> Difference:
    """Compare two systems by their scores on the same questions.

    Args:
        groups: what each question belongs to, such as its document; the questions of one are drawn and swapped
            together, as they are no independent witnesses (Davison and Hinkley 1997, section 3.8). None: each stands
            alone.

    The p-value counts the observed difference itself among the samples, so it is never 0
    (North, Curtis, Sham 2002): p = (1 + #{|mean of swapped| ≥ |mean|}) / (1 + samples).

    Raises:
        ValueError: no scores, or lists of unlike length.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} scores before, {len(after)} after")
    if groups is not None and len(groups) != len(before):
        raise ValueError(f"{len(before)} scores of {len(groups)} questions in groups")
    gains = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    observed = float(gains.mean())
    # Sums of equal terms in another order differ in the last bit, and are as extreme.
    rngs = np.random.default_rng(seed), np.random.default_rng(seed)
    if groups is None or len(set(groups)) == len(gains):
        swapped, sampled = _swapped_means(gains, rngs[0]), _sampled_means(gains, rngs[1])
    else:
        _, number = np.unique(np.asarray(groups), return_inverse=True)
        sums = np.bincount(number, weights=gains).astype(np.float64)
        sizes = np.bincount(number).astype(np.float64)
        swapped = _swapped_means(sums, rngs[0]) * len(sums) / len(gains)
        sampled = _sampled_ratios(sums, sizes, rngs[1])
    extreme = int((np.abs(swapped) >= abs(observed) - 1e-12).sum())
    low, high = _interval(sampled)
    return Difference(observed, low, high, (1 + extreme) / (1 + SAMPLES), len(gains))


def mean_interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean over questions, by bootstrap.

    Raises:
        ValueError: no scores.
    """
    if not len(scores):
        raise ValueError("no scores")
    return _interval(_sampled_means(np.asarray(scores, dtype=np.float64), np.random.default_rng(seed)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, corrected so that one false alarm among all stays as unlikely (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = highest
    return found


def _sampled_means(values: Floats, rng: np.random.Generator) -> Floats:
    """Means of as many questions as there are, drawn with replacement, (SAMPLES,).

    How often each different score is drawn is multinomial: questions of equal scores need no draws of their own.
    """
    different, counts = np.unique(values, return_counts=True)
    if len(different) <= _FEW:
        drawn = rng.multinomial(len(values), counts / len(values), size=SAMPLES)
        return np.asarray(drawn @ different / len(values))
    blocks = (rng.integers(len(values), size=(_BLOCK, len(values))) for _ in range(SAMPLES // _BLOCK))
    return np.concatenate([values[rows].mean(axis=1) for rows in blocks])


def _sampled_ratios(sums: Floats, sizes: Floats, rng: np.random.Generator) -> Floats:
    """Means over the questions of as many groups as there are, drawn with replacement, (SAMPLES,).

    Args:
        sums, sizes: of the values of each group, and how many these are, (C,) each.
    """
    blocks = (rng.integers(len(sums), size=(_BLOCK, len(sums))) for _ in range(SAMPLES // _BLOCK))
    return np.concatenate([sums[rows].sum(axis=1) / sizes[rows].sum(axis=1) for rows in blocks])


def _swapped_means(gains: Floats, rng: np.random.Generator) -> Floats:
    """Means of the gains, the sign of each turned or not, (SAMPLES,).

    Of n gains of equal size as many stay as a fair coin shows heads in n throws.
    """
    sizes, counts = np.unique(np.abs(gains), return_counts=True)
    if len(sizes) > _FEW:
        sizes, counts = gains, np.ones(len(gains), dtype=np.int8)
    kept = (_heads(rng, counts) for _ in range(SAMPLES // _BLOCK))
    return np.concatenate([(2 * heads - counts) @ sizes / len(gains) for heads in kept])


def _heads(rng: np.random.Generator, throws: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How often a fair coin shows heads in so many throws, (_BLOCK, N)."""
    size = (_BLOCK, len(throws))
    return (
        rng.integers(2, size=size, dtype=np.int8) if (throws == 1).all() else rng.binomial(throws, 0.5, size)
    )


def _interval(means: Floats) -> tuple[float, float]:
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
