"""One order for every ranking."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragqa.ranking import best, blocks, inner_products

few_values = st.lists(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 7.0]), max_size=40)


@given(few_values, st.integers(0, 50))
def test_best_is_the_head_of_a_full_stable_sort(values: list[float], top_k: int) -> None:
    scores = np.array(values, dtype=np.float32)
    assert best(scores, top_k).tolist() == np.argsort(-scores, kind="stable")[:top_k].tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_product_does_not_depend_on_the_vectors_beside_it(seed: int, count: int) -> None:
    drawn = np.random.default_rng(seed)
    vectors, query = drawn.standard_normal((count, 48), np.float32), drawn.standard_normal(48, np.float32)
    together = inner_products(query, vectors)
    alone = [inner_products(query, vectors[n : n + 1])[0] for n in range(count)]
    assert together.tolist() == alone
    np.testing.assert_allclose(
        together, vectors.astype(np.float64) @ query.astype(np.float64), rtol=1e-5, atol=1e-5
    )


@given(st.integers(0, 100), st.integers(1, 40))
def test_blocks_cover_everything_once_in_order(count: int, size: int) -> None:
    covered = [n for block in blocks(count, size) for n in range(count)[block]]
    assert covered == list(range(count))
