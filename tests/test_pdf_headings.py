"""Which lines of a PDF are headings, by their size alone."""

from hypothesis import given
from hypothesis import strategies as st

from ragqa.pdf_headings import Line, heading_level, heading_sizes

TEXT = [Line("Most lines of a document have the size of its text.", 10.0)] * 20


def test_larger_sizes_are_levels_from_the_largest_down() -> None:
    pages = [
        [Line("Title", 24.0), Line("Part", 16.0), *TEXT, Line("Section", 12.0), *TEXT, Line("note", 8.0)]
    ]
    assert heading_sizes(pages) == {24.0: 1, 16.0: 2, 12.0: 3}


def test_a_size_that_much_of_the_text_has_is_no_heading() -> None:
    assert heading_sizes([[*TEXT, *(Line(line.text, 12.0) for line in TEXT[:5])]]) == {}


def test_sentences_figures_and_long_lines_are_no_headings() -> None:
    sizes = {12.0: 1}
    assert heading_level(Line("2 Costs", 12.0), sizes) == 1
    assert heading_level(Line("成本", 12.0), sizes) == 1
    for text in ("It costs two crowns.", "2,730", "T", "word " * 40, ""):
        assert heading_level(Line(text, 12.0) if text else Line("", 0.0), sizes) is None
    assert heading_level(Line("Costs", 10.0), sizes) is None


@given(st.lists(st.tuples(st.text("ab1 .", max_size=9), st.integers(0, 40)), max_size=30))
def test_levels_follow_the_sizes(drawn: list[tuple[str, int]]) -> None:
    lines = [Line(text, size / 2) for text, size in drawn]
    sizes = heading_sizes([lines])
    assert list(sizes) == sorted(sizes, reverse=True)
    assert list(sizes.values()) == sorted(sizes.values())
    assert set(sizes.values()) <= {1, 2, 3, 4}
