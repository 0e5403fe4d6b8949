"""Calibration against scikit-learn and tables worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.calibration import Calibration, expected_calibration_error, fit, operating_point

NAMES = ("margin", "lead")


def sample(seed: int, count: int = 300) -> tuple[list[dict[str, float]], list[bool]]:
    rng = np.random.default_rng(seed)
    margin, lead = rng.normal(3, 5, count), rng.normal(-1, 0.2, count)
    right = rng.random(count) < 1 / (1 + np.exp(-(0.4 * margin + 3 * lead + 1)))
    rows = [{"margin": m, "lead": v, "unused": 1e9} for m, v in zip(margin, lead, strict=True)]
    return rows, [bool(r) for r in right]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_the_fit_is_that_of_scikit_learn(seed: int, l2: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, right = sample(seed)
    fitted = fit(rows, right, names=NAMES, l2=l2)
    x = np.array([[row[name] for name in NAMES] for row in rows])
    mean, scale = x.mean(0), x.std(0)
    judge = linear_model.LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=1000)
    judge.fit((x - mean) / scale, right)
    expected = judge.predict_proba((x - mean) / scale)[:, 1]
    assert [fitted.probability(row) for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)
    weights = judge.coef_[0] / scale
    assert [fitted.weights[name] for name in NAMES] == pytest.approx(weights.tolist(), rel=1e-4)


@pytest.mark.parametrize("right", [[False] * 4 + [True] * 4, [True] * 8, [False] * 8])
def test_separable_or_one_sided_data_stay_finite(right: list[bool]) -> None:
    rows = [{"margin": float(k), "lead": 1.0} for k in range(8)]
    fitted = fit(rows, right, names=NAMES)
    probabilities = [fitted.probability(row) for row in rows]
    assert np.isfinite(probabilities).all()
    assert all((p > 0.5) == r for p, r in zip(probabilities, right, strict=True))


def test_a_probability_by_hand() -> None:
    calibration = Calibration({"margin": 2.0}, bias=-1.0, threshold=0.5)
    assert calibration.probability({"margin": 0.5, "lead": 7.0}) == pytest.approx(0.5)
    assert calibration.probability({"margin": 1.0}) == pytest.approx(0.7310585786)
    with pytest.raises(KeyError):
        calibration.probability({"lead": 1.0})


def test_extreme_scores_stay_probabilities() -> None:
    calibration = Calibration({"margin": 1e9}, bias=0.0, threshold=0.5)
    assert calibration.probability({"margin": -1.0}) < 1e-20
    assert calibration.probability({"margin": 1.0}) == pytest.approx(1)


def test_json_keeps_everything() -> None:
    calibration = Calibration({"margin": 2.0, "lead": 0.1}, -1.5, 0.25)
    assert Calibration(**calibration.as_json()) == calibration


def test_calibration_error_by_hand() -> None:
    # Bins of a fifth: two answers at 0.1, two at 0.5 (one right), one at 1.0 (wrong, in the last bin).
    confidence, right = np.array([0.1, 0.1, 0.5, 0.5, 1.0]), np.array([0.0, 1.0, 1.0, 0.0, 0.0])
    expected = (2 * abs(0.5 - 0.1) + 2 * abs(0.5 - 0.5) + 1 * abs(0 - 1)) / 5
    assert expected_calibration_error(confidence, right, bins=5) == pytest.approx(expected)
    assert expected_calibration_error(np.array([]), np.array([])) == 0


def test_frequencies_that_equal_their_confidence_have_no_error() -> None:
    confidence = np.repeat([0.25, 0.75], 4)
    right = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=np.float64)
    assert expected_calibration_error(confidence, right) == pytest.approx(0)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40),
    st.floats(0, 0.99, allow_nan=False),
)
def test_the_operating_point_is_the_highest_that_refuses_few_enough(
    rows: list[tuple[int, bool]], max_refused: float
) -> None:
    confidence = np.array([c / 20 for c, _ in rows])
    answerable = np.array([a for _, a in rows])
    threshold = operating_point(confidence, answerable, max_refused)
    kept = confidence[answerable]
    if not len(kept):
        assert threshold == 0.5
        return
    assert (kept < threshold).sum() <= max_refused * len(kept)
    higher = [c for c in kept if c > threshold]
    if higher:
        assert (kept < min(higher)).sum() > max_refused * len(kept)
