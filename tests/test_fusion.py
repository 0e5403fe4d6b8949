"""The mathematics of fusion, as properties."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragqa.fusion import Leg, Ranking, convex, reciprocal_rank, scaled

cosines = st.integers(-64, 64).map(lambda n: n / 64)
positive = st.integers(1, 400).map(lambda n: n / 8)
dense_legs = st.dictionaries(st.integers(0, 30), cosines, max_size=8)
lexical_legs = st.dictionaries(st.integers(0, 30), positive, max_size=8)
weights = st.integers(0, 16).map(lambda n: n / 16)


def order(leg: Leg) -> list[int]:
    return sorted(leg, key=lambda row: (-leg[row], row))


def rows(ranking: Ranking) -> list[int]:
    return [row for row, _ in ranking]


def test_a_worked_example() -> None:
    dense, lexical = {1: 0.8, 2: 0.6, 3: 0.4}, {3: 12.0, 1: 6.0, 4: 3.0}
    # scaled: dense 1, 0.75, 0.5 and for row 4 the last, 0.5; lexical 0.5, 0, 1, 0.25
    fused = convex(dense, lexical, 0.75)
    assert rows(fused) == [1, 3, 2, 4]
    assert [score for _, score in fused] == pytest.approx([0.875, 0.625, 0.5625, 0.4375])


@given(dense_legs, lexical_legs, weights)
def test_fused_scores_lie_in_the_unit_interval_over_the_union_of_both_legs(
    dense: Leg, lexical: Leg, weight: float
) -> None:
    for ranking in (convex(dense, lexical, weight), reciprocal_rank([dense, lexical])):
        assert sorted(rows(ranking)) == sorted({*dense, *lexical})
        assert all(0 <= score <= 1 for _, score in ranking)
        assert all(first[1] >= second[1] for first, second in pairwise(ranking))
        if dense and lexical:
            assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))


@given(dense_legs, lexical_legs)
def test_weights_0_and_1_keep_the_order_of_one_leg(dense: Leg, lexical: Leg) -> None:
    assume(dense and lexical)
    by_vectors, by_terms = dict(convex(dense, lexical, 1)), dict(convex(dense, lexical, 0))
    found = [row for row in order(dense) if dense[row] > 0]
    assert sorted(found, key=lambda row: (-by_vectors[row], row)) == found
    assert sorted(lexical, key=lambda row: (-by_terms[row], row)) == order(lexical)
    assert [row for row in rows(convex(dense, lexical, 0)) if row in lexical] == order(lexical)


@given(dense_legs, lexical_legs, weights)
def test_an_empty_leg_leaves_the_other_alone_with_its_full_scale(
    dense: Leg, lexical: Leg, weight: float
) -> None:
    assert rows(convex(dense, {}, weight)) == order(dense)
    assert rows(convex({}, lexical, weight)) == order(lexical)
    assert not lexical or convex({}, lexical, weight)[0][1] == 1.0
    for leg in (dense, lexical):
        assert rows(reciprocal_rank([leg, {}])) == rows(reciprocal_rank([leg])) == order(leg)


@given(dense_legs, lexical_legs, weights, st.randoms(use_true_random=False))
def test_the_order_in_which_hits_come_does_not_matter(
    dense: Leg, lexical: Leg, weight: float, shuffler: object
) -> None:
    def shuffled(leg: Leg) -> Leg:
        items = list(leg.items())
        shuffler.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    assert convex(shuffled(dense), shuffled(lexical), weight) == convex(dense, lexical, weight)
    assert reciprocal_rank([shuffled(dense), shuffled(lexical)]) == reciprocal_rank([dense, lexical])


@given(dense_legs, lexical_legs, weights, positive, positive, positive, positive)
def test_a_row_ahead_in_both_legs_is_ahead_in_the_fusion(
    dense: Leg, lexical: Leg, weight: float, near: float, match: float, nearer: float, better: float
) -> None:
    dense = {**dense, 100: near, 101: near + nearer}
    lexical = {**lexical, 100: match, 101: match + better}
    for ranking in (convex(dense, lexical, weight), reciprocal_rank([dense, lexical])):
        assert dict(ranking)[101] > dict(ranking)[100]


@given(dense_legs, lexical_legs, weights, st.integers(1, 64))
def test_the_unit_of_a_leg_does_not_matter(dense: Leg, lexical: Leg, weight: float, unit: int) -> None:
    moved = {row: unit * score for row, score in lexical.items()}
    expected = dict(convex(dense, lexical, weight))
    for row, score in convex(dense, moved, weight):
        assert score == pytest.approx(expected[row], abs=1e-9)


def test_the_best_hit_has_1_and_no_relation_0() -> None:
    assert scaled({4: 2.5, 9: 2.5, 1: 1.25}) == {4: 1.0, 9: 1.0, 1: 0.5}
    assert scaled({1: -0.2, 2: 0.0}) == {1: 0.0, 2: 0.0}
    assert scaled({}) == {}


def test_equal_fused_scores_are_ordered_by_row() -> None:
    assert rows(convex({5: 1.0, 2: 1.0}, {7: 3.0, 3: 3.0}, 0.5)) == [3, 7, 2, 5]
    assert rows(convex({5: 0.4, 2: 0.4}, {2: 3.0, 5: 3.0}, 0.5)) == [2, 5]
    assert rows(reciprocal_rank([{5: 1.0}, {2: 1.0}])) == [2, 5]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_the_unit_interval_is_an_error(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        convex({1: 1.0}, {}, weight)


def test_reciprocal_rank_is_the_published_sum_up_to_a_factor() -> None:
    fused = dict(reciprocal_rank([{1: 9.0, 2: 8.0}, {2: 3.0, 1: 2.0, 3: 1.0}]))
    assert fused[1] == pytest.approx(61 / 2 * (1 / 61 + 1 / 62))
    assert fused[3] == pytest.approx(61 / 2 * (1 / 63))
