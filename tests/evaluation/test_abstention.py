"""Risk and coverage against plain counting, Brier score, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.evaluation.abstention import Refusals, brier, coverage_at, refusals, risk_coverage

answers = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), min_size=1, max_size=12)


@given(answers)
def test_each_point_is_what_one_threshold_gives(given_: list[tuple[float, bool]]) -> None:
    confidence = np.array([c for c, _ in given_])
    right = np.array([float(r) for _, r in given_])
    curve = risk_coverage(confidence, right)
    thresholds = sorted(set(confidence.tolist()), reverse=True)
    expected = [((confidence >= t).mean(), 1 - right[confidence >= t].mean()) for t in thresholds]
    np.testing.assert_allclose(np.c_[curve.coverage, curve.risk], expected)
    risks = [1 - right[confidence >= c].mean() for c in confidence]
    assert curve.area == pytest.approx(float(np.mean(risks)))
    reachable = [share for share, risk in expected if risk <= 0.25]
    assert coverage_at(curve, 0.25) == pytest.approx(max(reachable, default=0.0))


def test_a_perfect_order_has_no_risk_before_its_first_error() -> None:
    curve = risk_coverage(np.array([0.9, 0.8, 0.2]), np.array([1.0, 1.0, 0.0]))
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3])
    assert curve.area == pytest.approx(1 / 9)
    with pytest.raises(ValueError, match="no question"):
        risk_coverage(np.array([]), np.array([]))


def test_brier_and_refusals_by_hand() -> None:
    assert brier(np.array([1.0, 0.5]), np.array([1.0, 0.0])) == pytest.approx(0.125)
    refused, answerable = np.array([True, True, False, False]), np.array([False, True, False, True])
    assert refusals(refused, answerable) == Refusals(0.5, 0.5)
    assert refusals(np.array([False]), np.array([True])) == Refusals(None, None)
