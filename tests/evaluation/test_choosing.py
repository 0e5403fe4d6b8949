"""The one-standard-error rule by hand, and thresholds for a risk against trying every one."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.evaluation.choosing import (
    as_good,
    least_risk,
    middle,
    nearest,
    smoothed,
    standard_error,
    threshold_for_risk,
    wilson,
)

ALONE = [str(number) for number in range(100)]
VALUES = (0.0, 0.25, 0.5, 0.75, 1.0)


def scores(*columns: float, noise: float = 0.0) -> npt.NDArray[np.float64]:
    """100 questions whose mean under each value is the column's; ``noise`` differs from value to value."""
    random = np.random.default_rng(3).normal(size=(100, len(columns)))
    found: npt.NDArray[np.float64] = np.array(columns) + noise * (random - random.mean(axis=0))
    return found


def choose(found: npt.NDArray[np.float64], present: int, floors: tuple[int, ...] = ()) -> tuple[int, int]:
    good = as_good(found, ALONE, floors)
    return nearest(good, VALUES, present), middle(good, VALUES, present)


def test_the_present_value_stays_unless_another_is_better_by_more_than_noise() -> None:
    means = (0.4, 0.5, 0.51, 0.53, 0.5)
    assert choose(scores(*means, noise=0.5), present=2) == (2, 2)
    assert choose(scores(*means, noise=0.01), present=2) == (3, 3)


def test_of_equally_good_values_the_nearest_or_the_middle_of_the_plateau_is_taken() -> None:
    assert choose(scores(0.7, 0.7, 0.7, 0.1, 0.1), present=4) == (2, 1)
    assert choose(scores(0.1, 0.7, 0.7, 0.7, 0.1), present=0) == (1, 2)
    assert choose(scores(0.7, 0.1, 0.1, 0.7, 0.7), present=1) == (
        0,
        3,
    )  # the widest run, the nearer of two middles
    assert choose(scores(0.5, 0.5, 0.5, 0.5, 0.5), present=3) == (3, 3)


def test_a_difference_too_small_to_matter_changes_nothing_however_sure_it_is() -> None:
    assert choose(scores(0.5, 0.5, 0.5, 0.5015, 0.5), present=2) == (2, 2)
    assert choose(scores(0.5, 0.5, 0.5, 0.5025, 0.5), present=2) == (3, 3)


def test_a_lucky_value_is_not_the_height_of_a_smoothed_curve() -> None:
    curve = np.array([0.1, 0.9, 0.1, 0.4, 0.6, 0.6, 0.5, 0.3])
    assert smoothed(curve) == pytest.approx([1.1 / 3, 0.375, 0.42, 0.52, 0.44, 0.48, 0.5, 1.4 / 3])
    assert int(smoothed(curve, reach=0).argmax()) == 1
    assert smoothed(np.full(4, 0.25)) == pytest.approx([0.25] * 4)


def test_a_floor_holds_whatever_the_noise() -> None:
    noisy = scores(0.53, 0.4, 0.51, 0.4, 0.4, noise=0.5)
    assert choose(noisy, present=2) == (2, 2)
    assert choose(noisy, present=2, floors=(0, 4)) == (0, 0)
    with pytest.raises(ValueError, match="no question"):
        as_good(np.zeros((0, 5)), [])


def test_questions_of_one_document_are_no_independent_witnesses() -> None:
    values = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.25])
    assert standard_error(values, ALONE[:6]) == pytest.approx(values.std(ddof=1) / math.sqrt(6))
    # The same question ten times over is worth one.
    repeated, groups = np.repeat(values, 10), np.repeat(ALONE[:6], 10).tolist()
    assert standard_error(repeated, groups) == pytest.approx(standard_error(values, ALONE[:6]))
    assert standard_error(values, ["one"] * 6) == math.inf


def test_the_wilson_interval_solves_its_equation() -> None:
    for wrong, count, z in ((0, 9, 1.0), (3, 40, 1.96), (40, 40, 1.96)):
        for end in wilson(wrong, count, z):
            # |share - end| = z standard errors at ``end``, but where the end is that of the scale.
            assert end in (0.0, 1.0) or abs(wrong / count - end) == pytest.approx(
                z * math.sqrt(end * (1 - end) / count)
            )
    assert wilson(0, 9, z=1.0)[1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="nothing"):
        wilson(0, 0)


candidates = st.lists(
    st.tuples(st.sampled_from([k / 16 for k in range(1, 16)]), st.booleans()), min_size=1, max_size=40
)


@given(candidates, st.sampled_from([0.1, 0.25, 0.5]))
def test_no_threshold_that_keeps_to_the_risk_answers_more(
    found: list[tuple[float, bool]], risk: float
) -> None:
    confidence, right = np.array([c for c, _ in found]), np.array([r for _, r in found])

    def bound(threshold: float) -> float:
        shown = confidence >= threshold
        return wilson(int((shown & ~right).sum()), int(shown.sum()), z=1.0)[1]

    every = sorted(set(confidence.tolist()))
    possible = [(confidence >= t).sum() for t in every if bound(t) <= risk]
    threshold = threshold_for_risk(confidence, right, risk)
    if threshold is None:
        assert not possible
    else:
        assert (confidence >= threshold).sum() == max(possible)
        assert bound(threshold) <= risk
        assert not np.isclose(confidence, threshold).any()  # the last bit of a score decides nothing
    assert least_risk(confidence, right) == pytest.approx(min(map(bound, every)))
