"""nDCG of the fused ranking under many weights and depths at once, from legs that were searched once.

The same figures as ``fusion.convex`` and ``retrieval.ndcg``, question by question; only the ranks of the gold rows are
worked out, so that a thousand questions under a hundred settings take seconds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RankedLeg:
    """Rows and raw scores of one leg, (M,) each, best first."""

    rows: Ints
    scores: Floats

    def first(self, depth: int) -> "RankedLeg":
        """The best ``depth`` of it."""
        return RankedLeg(self.rows[:depth], self.scores[:depth])

    def as_leg(self) -> dict[int, float]:
        """Row → score, best first."""
        return dict(zip(self.rows.tolist(), self.scores.tolist(), strict=True))


def ndcg_by_setting(
    dense: RankedLeg,
    lexical: RankedLeg,
    gold: Collection[int],
    weights: Sequence[float],
    depths: Sequence[int],
    k: int = 10,
) -> Floats:
    """nDCG@k of one question, (D, W): under each depth of the legs and each weight of the dense one.

    Args:
        gold: the right rows, all of one grade.
    """
    ideal = (1 / np.log2(np.arange(2, 2 + min(k, len(gold))))).sum()
    found = np.zeros((len(depths), len(weights)))
    for place, depth in enumerate(depths):
        ranks = _gold_ranks(dense.first(depth), lexical.first(depth), gold, np.asarray(weights))
        found[place] = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0).sum(axis=0) / ideal
    return found


def _gold_ranks(dense: RankedLeg, lexical: RankedLeg, gold: Collection[int], weights: Floats) -> Ints:
    """The rank, from 1, of each gold row that either leg found, under each weight: (G, W)."""
    rows = np.union1d(dense.rows, lexical.rows)
    there = np.flatnonzero(np.isin(rows, list(gold)))
    scores = _fused(rows, dense, lexical, weights)
    ranks = np.empty((len(there), len(weights)), dtype=np.int64)
    for number, column in enumerate(there):
        mine = scores[:, column, None]
        # Rows are sorted, so that an equal score is ahead exactly where its column is.
        ahead = (scores > mine) | ((scores == mine) & (np.arange(len(rows)) < column))
        ranks[number] = 1 + ahead.sum(axis=1)
    return ranks


def _fused(rows: Ints, dense: RankedLeg, lexical: RankedLeg, weights: Floats) -> Floats:
    """The fused score of each of the sorted ``rows`` under each weight, (W, R); see ``fusion.convex``."""
    if not len(dense.rows) or not len(lexical.rows):
        only = dense if len(dense.rows) else lexical
        return np.tile(_placed(rows, only.rows, only.scores, 0.0), (len(weights), 1))
    near, match = _scaled(dense.scores), _scaled(lexical.scores)
    near_all = _placed(rows, dense.rows, near, near.min())
    match_all = _placed(rows, lexical.rows, match, 0.0)
    fused: Floats = weights[:, None] * near_all + (1 - weights[:, None]) * match_all
    return fused


def _scaled(scores: Floats) -> Floats:
    high = scores.max()
    return np.where(scores > 0, scores / high, 0.0) if high > 0 else np.zeros_like(scores)


def _placed(rows: Ints, mine: Ints, scores: Floats, else_: float) -> Floats:
    found = np.full(len(rows), else_)
    found[np.searchsorted(rows, mine)] = scores
    return found
