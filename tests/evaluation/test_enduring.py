"""What a condition costs, worked by hand."""

import pytest

from ragqa.evaluation.enduring import COLUMNS, Outcome, change, markdown, rows


def outcome(f1: float | None, *, refused: bool = False, misled: bool = False) -> Outcome:
    right = refused if f1 is None else f1 >= 0.5
    return Outcome(f1, right, refused, misled, stands=True)


BEFORE = [outcome(1.0), outcome(0.6), outcome(0.0), outcome(None, refused=True)]
AFTER = [outcome(1.0), outcome(0.0, refused=True), outcome(0.0, misled=True), outcome(None, misled=True)]


def test_figures_by_hand() -> None:
    found = change(BEFORE, AFTER)
    f1 = found["F1"]
    assert (f1["before"], f1["after"], f1["difference"], f1["n"]) == (0.5333, 0.3333, -0.2, 3)
    assert f1["low"] <= -0.2 <= f1["high"] == 0.0
    assert (found["questions"], found["refused"], found["misled"]) == (4, 0.25, 2)
    assert (found["right before"], found["right"]) == (0.75, 0.25)
    assert change(BEFORE, BEFORE)["F1"]["difference"] == 0


def test_the_table_has_a_cell_for_each_column_also_where_nothing_is_answerable() -> None:
    unanswerable = change(BEFORE[3:], AFTER[3:])
    assert unanswerable["F1"] == {}
    conditions = {
        "typos": {**change(BEFORE, AFTER), "means": "slips"},
        "none": {**unanswerable, "means": "–"},
    }
    table = rows(conditions)
    assert [len(row) for row in table] == [len(COLUMNS)] * 2
    assert table[0][:4] == ["typos", "4", "0.533", "0.333"]
    assert table[1][2:6] == ["–"] * 4
    assert "- **typos**: slips" in markdown("Endurance", conditions)


def test_lists_that_do_not_match_are_refused() -> None:
    for before, after in (([], []), (BEFORE, AFTER[1:])):
        with pytest.raises(ValueError, match="outcomes before"):
            change(before, after)
