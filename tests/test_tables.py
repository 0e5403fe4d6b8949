from hypothesis import given
from hypothesis import strategies as st

from ragqa.tables import is_header, row_key, row_line, table_lines

CELLS = st.text(st.sampled_from("ab1 \n:;"), max_size=6)


def test_the_first_row_is_a_header_only_when_it_names_columns() -> None:
    assert list(table_lines("T", [["Name", "Age"], ["Ann", "30"]])) == ["T — Name: Ann; Age: 30"]
    assert list(table_lines("", [["Ann", "30"], ["Bob", "31"]])) == ["Ann; 30", "Bob; 31"]
    assert not is_header(["Name"])
    assert not is_header(["a", "a"])


def test_a_table_that_is_only_a_header_is_still_said() -> None:
    assert list(table_lines("T", [], ["Name", "Age"])) == ["T — Name; Age"]


def test_a_repeated_header_is_said_once() -> None:
    rows = [["Name", "Age"], ["Ann", "30"], ["Name", "Age"], ["Bob", "31"]]
    assert list(table_lines("", rows)) == ["Name: Ann; Age: 30", "Name: Bob; Age: 31"]


def test_the_key_of_a_row_is_its_caption_and_first_cell() -> None:
    assert row_key(row_line("T", ["A", "B"], ["x", "y"])) == "T — A: x"


@given(st.lists(st.lists(CELLS, max_size=4), max_size=6), st.lists(CELLS, max_size=4))
def test_every_cell_is_said_under_its_name_on_one_line_for_each_row(
    rows: list[list[str]], header: list[str]
) -> None:
    said = [row for row in rows if any(cell.strip() for cell in row)]
    said = [row for row in said if row != header]
    lines = list(table_lines("T", rows, header))
    if said:
        assert len(lines) == len(said)
    for row, line in zip(said, lines, strict=False):
        assert "\n" not in line
        for place, cell in enumerate(row):
            name = " ".join(header[place].split()).rstrip(":") if place < len(header) else ""
            value = " ".join(cell.split())
            assert not value or (f"{name}: {value}" if name else value) in line
