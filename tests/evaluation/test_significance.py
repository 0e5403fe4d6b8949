"""Paired tests against exact enumeration, theory and their own guarantees."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.evaluation.significance import holm, mean_interval, paired


def exact_p(gains: list[float]) -> float:
    """Two-sided p over all 2^n swaps."""
    observed = abs(sum(gains))
    swaps = itertools.product((-1, 1), repeat=len(gains))
    sums = [abs(sum(sign * gain for sign, gain in zip(signs, gains, strict=True))) for signs in swaps]
    return sum(value >= observed - 1e-12 for value in sums) / len(sums)


@pytest.mark.parametrize(
    "gains",
    [[1.0, 0.5, 0.25, 1.0, -0.25], [0.2] * 9, [1, -1, 0, 0, 1, 1, 0, 1], [0.1, 0.9, -0.4, 0.3, 0.8, 0.2]],
)
def test_the_p_value_is_that_of_all_swaps(gains: list[float]) -> None:
    assert paired([0.0] * len(gains), gains).p == pytest.approx(exact_p(gains), abs=0.015)


def test_the_interval_is_the_normal_one_for_many_questions() -> None:
    gains = np.random.default_rng(3).normal(0.1, 0.4, 2000)
    found = paired(np.zeros(2000).tolist(), gains.tolist())
    error = gains.std() / np.sqrt(len(gains))
    assert found.mean == pytest.approx(gains.mean())
    assert found.low == pytest.approx(gains.mean() - 1.96 * error, abs=0.05 * error * 4)
    assert found.high == pytest.approx(gains.mean() + 1.96 * error, abs=0.05 * error * 4)


def test_equal_systems_do_not_differ() -> None:
    found = paired([0.3, 1.0, 0.0], [0.3, 1.0, 0.0])
    assert (found.mean, found.low, found.high, found.p, found.n) == (0, 0, 0, 1, 3)


def test_a_seed_gives_the_same_figures_and_questions_that_do_not_match_are_refused() -> None:
    before, after = [0.1, 0.5, 0.9, 0.3], [0.4, 0.5, 1.0, 0.0]
    assert paired(before, after) == paired(before, after)
    for left, right in (([], []), ([1.0], [1.0, 2.0])):
        with pytest.raises(ValueError, match="scores before"):
            paired(left, right)


def test_questions_of_one_group_are_no_independent_witnesses() -> None:
    rng = np.random.default_rng(5)
    of_group = rng.normal(0.1, 0.4, 300)
    sizes = rng.integers(1, 12, 300)
    gains = np.repeat(of_group, sizes)
    groups = [f"document {n}" for n in np.repeat(np.arange(300), sizes)]
    zeros = [0.0] * len(gains)
    found, naive = paired(zeros, gains.tolist(), groups=groups), paired(zeros, gains.tolist())
    # The error of a ratio of sums over groups, by linearisation.
    error = np.sqrt(((sizes * (of_group - gains.mean())) ** 2).sum()) / sizes.sum()
    assert found.mean == naive.mean
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    assert found.high - found.low > 2 * (naive.high - naive.low)
    assert found.p > naive.p
    assert paired(zeros, gains.tolist(), groups=[str(n) for n in range(len(gains))]) == naive
    with pytest.raises(ValueError, match="in groups"):
        paired([0.0, 1.0], [1.0, 1.0], groups=["a"])


def test_the_p_value_of_groups_is_that_of_all_swaps_of_whole_groups() -> None:
    gains, groups = [1.0, 0.5, 0.25, 1.0, -0.25, 0.5, 0.75], list("aabbcde")
    of_groups = [1.5, 1.25, -0.25, 0.5, 0.75]
    found = paired([0.0] * 7, gains, groups=groups)
    assert found.p == pytest.approx(exact_p(of_groups), abs=0.015)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_swapping_the_systems_turns_the_sign(scores: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in scores], [a for _, a in scores]
    there, back = paired(before, after), paired(after, before)
    assert there.mean == pytest.approx(-back.mean)
    assert there.low <= there.mean + 1e-9
    assert there.mean - 1e-9 <= there.high
    assert there.p == pytest.approx(back.p, abs=1e-9)
    assert 0 < there.p <= 1


def test_the_interval_of_a_mean_is_the_normal_one_for_many_questions() -> None:
    values = np.random.default_rng(5).normal(0.4, 0.2, 2000)
    low, high = mean_interval(values.tolist())
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=error / 10)
    assert mean_interval([0.5]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="no scores"):
        mean_interval([])


@pytest.mark.parametrize("different", [2, 13, 790, 5000])
def test_few_and_many_different_scores_have_the_interval_of_questions_drawn_one_by_one(
    different: int,
) -> None:
    draw = np.random.default_rng(different)
    values = draw.integers(different, size=3000) / (different - 1)
    drawn = values[draw.integers(len(values), size=(4000, len(values)))].mean(axis=1)
    width = float(np.subtract(*np.quantile(drawn, [0.975, 0.025])))
    assert mean_interval(values.tolist()) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=width / 15)
    assert mean_interval(values.tolist()) == mean_interval(values.tolist())


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 · 0.01, then 2 · 0.03, and 0.04 not below it
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm_by_hand(raw: list[float], corrected: list[float]) -> None:
    assert holm(raw) == pytest.approx(corrected)
