"""What is kept of a text that a model writes piece by piece."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.trickle import Trickle, trickled


def passed(pieces: list[str]) -> list[str]:
    trickle = Trickle()
    return [*(trickle.feed(piece) for piece in pieces), trickle.finish()]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[a:b] for a, b in pairwise(places)]


WRITTEN = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([" ", "\n", "<think>", "</think>", "<th", "so ", "苹果"]), max_size=12).map(
        "".join
    ),
    st.builds(
        lambda a, b, n: a + b * n, st.text(max_size=9), st.text(min_size=1, max_size=30), st.integers(1, 60)
    ),
)


@given(WRITTEN, st.lists(st.integers(0, 400), max_size=8))
def test_the_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    assert "".join(passed(pieces_of(text, cuts))) == trickled(text)[0]
    assert trickled(trickled(text)[0])[0] == trickled(text)[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" \n Maria Keller \n", "Maria Keller"),
        ("<think>Who was it?</think>\n\nMaria Keller", "Maria Keller"),
        ("<think>Who was it", ""),
        ("<thing>", "<thing>"),
        ("<th", "<th"),
        ("", ""),
    ],
)
def test_thoughts_and_white_space_around_an_answer_are_dropped(text: str, shown: str) -> None:
    assert trickled(text) == (shown, False)


@pytest.mark.parametrize(
    "unit", ["very ", "苹果，", "x", "It opened in 1931, and then it was closed again. "]
)
def test_endless_repetition_is_cut(unit: str) -> None:
    text, is_endless = trickled("It is " + unit * 500)
    assert is_endless
    assert text.startswith("It is " + unit * 3)
    assert len(text) < 6 + 5 * max(len(unit), 16)


@pytest.mark.parametrize("text", ["ha ha ha ha ha", "1, 2, 3, 4, 5", "no, no, no", "那那那那那", "-" * 40])
def test_what_only_repeats_a_little_stays(text: str) -> None:
    assert trickled(text) == (text, False)


def test_words_are_passed_on_as_soon_as_they_come() -> None:
    assert passed(["Maria", " ", "Keller", ""]) == ["Maria", "", " Keller", "", ""]
