"""nDCG under many settings at once equals fusing and measuring one setting after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa import fusion
from ragqa.evaluation.fusing import RankedLeg, ndcg_by_setting
from ragqa.evaluation.retrieval import ndcg

WEIGHTS, DEPTHS = (0.0, 0.3, 0.5, 1.0), (2, 5, 30)

# Few distinct scores, so that there are ties; negative ones as vectors have them.
legs = st.dictionaries(st.integers(0, 15), st.sampled_from([-0.25, 0.0, 0.125, 0.5, 0.75, 1.5]), max_size=14)


def ranked(leg: dict[int, float]) -> RankedLeg:
    pairs = sorted(leg.items(), key=lambda pair: (-pair[1], pair[0]))
    return RankedLeg(
        np.array([r for r, _ in pairs], dtype=np.int64), np.array([s for _, s in pairs], dtype=float)
    )


@given(
    legs,
    legs.map(lambda leg: {row: score for row, score in leg.items() if score > 0}),
    st.sets(st.integers(0, 17), min_size=1, max_size=5),
)
def test_every_setting_is_that_of_fusing_and_measuring(
    dense: dict[int, float], bm25: dict[int, float], gold: set[int]
) -> None:
    near, match = ranked(dense), ranked(bm25)
    found = ndcg_by_setting(near, match, gold, WEIGHTS, DEPTHS, k=4)
    judged = {str(row): 1 for row in gold}
    for d, depth in enumerate(DEPTHS):
        for w, weight in enumerate(WEIGHTS):
            ranking = fusion.convex(near.first(depth).as_leg(), match.first(depth).as_leg(), weight)
            expected = ndcg(4)([str(row) for row, _ in ranking], judged)
            assert found[d, w] == pytest.approx(expected, abs=1e-12)
