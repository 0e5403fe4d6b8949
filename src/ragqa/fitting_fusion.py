"""The first stage of ``ragqa tune``: fusion weight and candidates, by nDCG@10 of the fused ranking."""

from collections.abc import Sequence
from math import log2

import numpy as np

from ragqa.config import FusionConfig
from ragqa.evaluation.choosing import NOTHING, as_good, middle, nearest
from ragqa.evaluation.fusing import ndcg_by_setting
from ragqa.fitted import LEFT_OUT, Curve, Flags, Floats, Found, Questions, worse

WEIGHTS = tuple(number / 20 for number in range(21))
DEPTHS = (50, 100, 200, 400)


def fit_fusion(
    every: Questions, present: FusionConfig, found: Found, *, mend_only: bool = False
) -> list[FusionConfig]:
    """The fusion chosen on all questions, then without each fold; curves and gain go to ``found``.

    Args:
        mend_only: the present fusion stays where it is no worse than either leg alone. For made questions: a sentence
            missing from its passage shares less of its words with it than a real question does, and speaks for dense.
    """
    mine = every.only(np.array([bool(one.rows) for one in every.asked]))
    weights = tuple(sorted({*WEIGHTS, present.dense_weight}))
    depths = tuple(sorted({*DEPTHS, present.candidates}))
    w0, d0 = weights.index(present.dense_weight), depths.index(present.candidates)
    legs_alone = (0, len(weights) - 1)
    scores = np.stack(
        [
            ndcg_by_setting(dense, bm25, one.rows, weights, depths)
            for one, (dense, bm25) in zip(mine.asked, mine.legs, strict=True)
        ]
    )

    def pick(part: Flags) -> tuple[int, int]:
        means, groups = scores[part].mean(axis=0), mine.groups_of(part)
        if mend_only and means[d0, w0] >= means[d0, legs_alone].max():
            return d0, w0
        w = middle(as_good(scores[part, d0], groups, floors=legs_alone), weights, w0)
        return nearest(as_good(scores[part, :, w], groups), [log2(d) for d in depths], d0), w

    def left_out(picks: Sequence[tuple[int, int]]) -> Floats:
        return mine.left_out([scores[:, d, w] for d, w in picks])[in_folds]

    in_folds, kept = mine.fold_of >= 0, mine.fold_of < 0
    picks = [pick(part) for part in mine.parts]
    if mend_only and picks[0] == (d0, w0):
        found.notes.append(
            "the present fusion beats dense and BM25 alone: it takes real questions to choose another"
        )
    before = scores[:, d0, w0]
    means = scores[in_folds].mean(axis=0)
    sound = means[d0, w0] >= means[d0, legs_alone].max() - NOTHING
    if worse(before[in_folds], left_out(picks)) and sound:
        found.notes.append("left-out questions speak against another fusion: the present one stays")
        picks = [(d0, w0)] * len(picks)
    found.tell("nDCG@10", LEFT_OUT, before[in_folds], left_out(picks), mine.groups_of(in_folds))
    d, w = picks[0]
    if kept.any():
        found.tell("nDCG@10", "test part", before[kept], scores[kept, d, w], mine.groups_of(kept))
    count = int(in_folds.sum())
    found.curves += [
        Curve(
            "fusion.dense_weight",
            weights,
            {"nDCG@10": tuple(means[d0].tolist())},
            weights[w0],
            weights[w],
            count,
        ),
        Curve(
            "fusion.candidates",
            depths,
            {"nDCG@10": tuple(means[:, w].tolist())},
            depths[d0],
            depths[d],
            count,
        ),
    ]
    found.values |= {"fusion.dense_weight": weights[w], "fusion.candidates": depths[d]}
    return [
        present.model_copy(update={"dense_weight": weights[w], "candidates": depths[d]}) for d, w in picks
    ]
