"""The values: places, pages and what an encoder sees."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.types import Answer, Document, Passage, page_of


@given(st.lists(st.integers(1, 50), max_size=6), st.integers(0, 300))
def test_a_page_holds_the_characters_from_its_first_to_the_next(lengths: list[int], position: int) -> None:
    starts = tuple(sum(lengths[:k]) for k in range(len(lengths)))
    page = page_of(starts, position)
    if not starts:
        assert page is None
        return
    assert page is not None
    assert starts[page - 1] <= position
    assert page == len(starts) or position < starts[page]


def test_text_before_the_first_page_belongs_to_it() -> None:
    assert page_of((5, 9), 2) == 1
    assert Document("d", "text", pages=(0, 2)).page_at(3) == 2
    assert Document("d", "text").page_at(3) is None


def test_a_passage_is_named_for_its_place() -> None:
    passage = Passage("folder/a b.md", 3, 8, "words", "Heading")
    assert passage.id == "folder/a b.md:3-8"
    assert passage.titled_text == "Heading\nwords"
    assert Passage("d", 0, 5, "words").titled_text == "words"


def test_what_would_be_answered_if_nothing_were_refused() -> None:
    """A reader that sets no candidate is taken at its word."""
    assert Answer(None, 0.1, (), (), candidate="Maria Keller").unrefused == "Maria Keller"
    assert (
        Answer("Maria.", 0.9, (), (), candidate="Maria. Or so they say.").unrefused
        == "Maria. Or so they say."
    )
    assert Answer("Maria Keller", 0.9, (), ()).unrefused == "Maria Keller"
    assert Answer(None, 0.1, (), ()).unrefused == ""


def test_values_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Passage("d", 0, 1, "x").start = 4  # type: ignore[misc]
