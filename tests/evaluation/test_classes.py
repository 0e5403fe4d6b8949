"""Precision, recall and F1 of classes against a table worked by hand, and their invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.evaluation.classes import ClassScores, accuracy, by_class, by_letter, confusion, table


def test_a_table_worked_by_hand() -> None:
    # gold A A A B B C, said A A B B C C: A 2 of 2 said, 2 of 3 there; B 1 of 2, 1 of 2; C 1 of 2, 1 of 1
    matrix = confusion([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    a, b, c, d = by_class(matrix)
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert b == ClassScores(0.5, 0.5, 0.5, 2)
    assert (c.precision, c.recall, c.f1, c.support) == pytest.approx((0.5, 1.0, 2 / 3, 1))
    assert d == ClassScores(0.0, 0.0, 0.0, 0)
    assert by_letter(matrix) == {"A": a, "B": b, "C": c, "D": d}
    assert accuracy(matrix) == pytest.approx(4 / 6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_supports_sum_to_all_and_accuracy_is_the_share_of_equal_ones(pairs: list[tuple[int, int]]) -> None:
    gold, said = zip(*pairs, strict=True)
    matrix = confusion(gold, said, 5)
    assert matrix.sum() == sum(row.support for row in by_class(matrix)) == len(pairs)
    assert accuracy(matrix) == pytest.approx(float(np.mean([g == s for g, s in pairs])))
    for row in by_class(matrix):
        low, high = sorted((row.precision, row.recall))
        assert low - 1e-12 <= row.f1 <= high + 1e-12


@pytest.mark.parametrize(("gold", "said"), [([0], []), ([0], [5]), ([-1], [0])])
def test_what_is_no_classification_is_refused(gold: list[int], said: list[int]) -> None:
    with pytest.raises(ValueError, match="class"):
        confusion(gold, said, 5)


def test_the_table_has_a_row_for_each_letter() -> None:
    head, a, b = table(np.array([[3, 1], [0, 4]]))
    assert head == ["", "precision", "recall", "F1", "questions", "said A", "said B"]
    assert a == ["A", "100.0", "75.0", "85.7", "4", "3", "1"]
    assert b == ["B", "80.0", "100.0", "88.9", "4", "0", "4"]
