"""The place of a table among the lines of its page."""

from hypothesis import given
from hypothesis import strategies as st

from ragqa.pdf_tables import has_rules, locate
from ragqa.types import Span

GRID = [["Method", "Memory"], ["LoRA", "4 GB"]]


def test_the_run_of_lines_with_the_letters_of_the_cells_is_the_table() -> None:
    assert locate(["Before", "Method Memory", "LoRA 4 GB", "After"], GRID) == Span(1, 3)
    assert locate(["Before", "Method", "Memory", "LoRA", "4 GB"], GRID) == Span(1, 5)


def test_columns_read_one_after_the_other_are_found_too() -> None:
    assert locate(["Method LoRA", "Memory 4 GB"], GRID) == Span(0, 2)


def test_lines_that_hold_more_or_less_than_the_table_are_left_alone() -> None:
    assert locate(["Method Memory and more", "LoRA 4 GB"], GRID) is None
    assert locate(["Method Memory"], GRID) is None
    assert locate([], GRID) is None


def test_ligatures_and_hyphens_at_line_ends_do_not_matter() -> None:
    assert locate(["e\ufb03cient fine-", "tuning"], [["efficient", "fine-tuning"]]) == Span(0, 2)


words = st.text("abc ", min_size=1, max_size=4)


@given(st.lists(words, max_size=6), st.lists(st.lists(words, min_size=2, max_size=2), min_size=2, max_size=3))
def test_a_run_that_is_found_holds_the_letters_of_the_cells(lines: list[str], grid: list[list[str]]) -> None:
    whole = [*lines, *(" ".join(row) for row in grid)]
    found = locate(whole, grid)
    cells = sorted("".join(cell for row in grid for cell in row).replace(" ", ""))
    if cells:
        assert found is not None
        assert sorted("".join(whole[found.start : found.end]).replace(" ", "")) == cells
    else:
        assert found is None


def test_pages_are_searched_where_enough_lines_are_drawn() -> None:
    assert has_rules(b"0 0 10 10 re S " * 4)
    assert has_rules(b"0 0 m 1 1 l S\n" * 4)
    assert not has_rules(b"BT (real rules) Tj ET 0 0 10 10 re f")
