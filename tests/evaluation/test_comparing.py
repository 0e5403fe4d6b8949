"""Two evaluations side by side, and the gate."""

from typing import Any

import pytest

from ragqa.errors import UsageError
from ragqa.evaluation.comparing import compare, gate, lines


def record(number: int, f1: float, *, first: int = 7) -> dict[str, Any]:
    scores = {
        "exact match": float(f1 == 1),
        "F1": f1,
        "ROUGE-1": f1,
        "ROUGE-2": f1,
        "ROUGE-L": f1,
        "BLEU": f1,
    }
    return {
        "id": str(number),
        "question": f"What is {number}?",
        "scores": scores,
        "verdict": "answered" if f1 >= 0.5 else "reader missed",
        "gold rows": [7],
        "rankings": {"fused": [first, 9]},
    }


BEFORE = [record(n, 1.0 if n < 20 else 0.0, first=7 if n < 20 else 3) for n in range(40)]
AFTER = [record(n, 1.0 if 2 <= n < 36 else 0.0) for n in range(40)]


def test_questions_that_changed_sides_are_counted_and_told() -> None:
    change = compare(BEFORE, AFTER)
    assert list(change.gained) == [str(n) for n in range(20, 36)]
    assert list(change.lost) == ["0", "1"]
    f1 = change.measures["F1"]
    assert (f1.before, f1.after) == (0.5, 0.85)
    assert f1.difference.mean == pytest.approx(0.35)
    assert change.measures["recall@1"].after == 1.0
    assert change.sentence().startswith("the second gets 16 more questions right and loses 2 of 40; p = 0.0")
    assert "chance" not in change.sentence()
    assert "chance" in compare(BEFORE, BEFORE).sentence()
    table = "\n".join(lines(change, ("one", "two")))
    assert "F1" in table
    assert "+0.350" in table


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("f1>=0", True),
        ("f1>0.35", False),
        ("F1>=0.3, recall@1>=-0.01, right > 0", True),
        ("exact match>=0.4", False),
    ],
)
def test_a_gate_is_open_where_every_condition_holds(text: str, open_: bool) -> None:
    change = compare(BEFORE, AFTER)
    assert all(condition.holds(change) for condition in gate(text, change)) is open_


@pytest.mark.parametrize("text", ["f2>=0", "f1=0", "", "f1>=x"])
def test_a_condition_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="accepted: conditions such as"):
        gate(text, compare(BEFORE, AFTER))


def test_evaluations_of_other_questions_are_refused() -> None:
    with pytest.raises(UsageError, match="differ in 2 questions"):
        compare(BEFORE, [*AFTER[:-1], {**AFTER[-1], "question": "Another one?"}])
