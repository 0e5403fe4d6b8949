"""The mathematics of fusion, as properties."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragqa.fusion import Leg, Ranking, convex, reciprocal_rank, scaled

scores = st.integers(-1000, 1000).map(lambda n: n / 8)
legs = st.dictionaries(st.integers(0, 30), scores, max_size=8)
weights = st.integers(0, 16).map(lambda n: n / 16)


def order(leg: Leg) -> list[int]:
    return sorted(leg, key=lambda row: (-leg[row], row))


def rows(ranking: Ranking) -> list[int]:
    return [row for row, _ in ranking]


def test_a_worked_example() -> None:
    dense, lexical = {1: 0.9, 2: 0.7, 3: 0.5}, {3: 12.0, 1: 8.0, 4: 4.0}
    # scaled: dense 1, 0.5, 0; lexical 1, 0.5, 0
    fused = convex(dense, lexical, 0.75)
    assert rows(fused) == [1, 2, 3, 4]
    assert [score for _, score in fused] == pytest.approx([0.875, 0.375, 0.25, 0.0])


@given(legs, legs, weights)
def test_fused_scores_lie_in_the_unit_interval_over_the_union_of_both_legs(
    dense: Leg, lexical: Leg, weight: float
) -> None:
    for ranking in (convex(dense, lexical, weight), reciprocal_rank([dense, lexical])):
        assert sorted(rows(ranking)) == sorted({*dense, *lexical})
        assert all(0 <= score <= 1 for _, score in ranking)
        assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))


@given(legs, legs)
def test_weights_0_and_1_keep_the_order_of_one_leg(dense: Leg, lexical: Leg) -> None:
    assume(dense and lexical)
    assert [row for row in rows(convex(dense, lexical, 1)) if scaled(dense).get(row)] == [
        row for row in order(dense) if scaled(dense)[row]
    ]
    assert [row for row in rows(convex(dense, lexical, 0)) if scaled(lexical).get(row)] == [
        row for row in order(lexical) if scaled(lexical)[row]
    ]


@given(legs, weights)
def test_an_empty_leg_leaves_the_other_alone_with_its_full_scale(leg: Leg, weight: float) -> None:
    for ranking in (convex(leg, {}, weight), convex({}, leg, weight)):
        assert rows(ranking) == order(leg)
        assert not leg or ranking[0][1] == 1.0
    assert rows(reciprocal_rank([leg, {}])) == rows(reciprocal_rank([leg])) == order(leg)


@given(legs, legs, weights, st.randoms(use_true_random=False))
def test_the_order_in_which_hits_come_does_not_matter(
    dense: Leg, lexical: Leg, weight: float, shuffler: object
) -> None:
    def shuffled(leg: Leg) -> Leg:
        items = list(leg.items())
        shuffler.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    assert convex(shuffled(dense), shuffled(lexical), weight) == convex(dense, lexical, weight)
    assert reciprocal_rank([shuffled(dense), shuffled(lexical)]) == reciprocal_rank([dense, lexical])


@given(legs, legs, weights, scores, scores, st.integers(1, 99), st.integers(1, 99))
def test_a_row_ahead_in_both_legs_is_ahead_in_the_fusion(
    dense: Leg, lexical: Leg, weight: float, near: float, match: float, nearer: int, better: int
) -> None:
    dense = {**dense, 100: near, 101: near + nearer}
    lexical = {**lexical, 100: match, 101: match + better}
    for ranking in (convex(dense, lexical, weight), reciprocal_rank([dense, lexical])):
        assert dict(ranking)[101] > dict(ranking)[100]


@given(legs, legs, weights, st.integers(1, 8), st.integers(-50, 50))
def test_the_unit_and_the_zero_of_a_leg_do_not_matter(
    dense: Leg, lexical: Leg, weight: float, unit: int, zero: int
) -> None:
    moved = {row: unit * score + zero for row, score in lexical.items()}
    expected = dict(convex(dense, lexical, weight))
    for row, score in convex(dense, moved, weight):
        assert score == pytest.approx(expected[row], abs=1e-9)


def test_hits_that_are_equally_good_all_count_in_full() -> None:
    assert scaled({4: 2.5, 9: 2.5}) == {4: 1.0, 9: 1.0}
    assert convex({1: 0.9, 2: 0.1}, {2: 3.0}, 0.4) == [(2, 0.6), (1, 0.4)]


def test_equal_fused_scores_are_ordered_by_row() -> None:
    assert rows(convex({5: 1.0, 2: 1.0}, {7: 1.0, 3: 1.0}, 0.5)) == [2, 3, 5, 7]
    assert rows(reciprocal_rank([{5: 1.0}, {2: 1.0}])) == [2, 5]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_the_unit_interval_is_an_error(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        convex({1: 1.0}, {}, weight)


def test_reciprocal_rank_is_the_published_sum_up_to_a_factor() -> None:
    fused = dict(reciprocal_rank([{1: 9.0, 2: 8.0}, {2: 3.0, 1: 2.0, 3: 1.0}]))
    assert fused[1] == pytest.approx(61 / 2 * (1 / 61 + 1 / 62))
    assert fused[3] == pytest.approx(61 / 2 * (1 / 63))
