"""Sentences by offsets: nothing visible is lost, and English and Chinese end where a reader would say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.analysis import terms
from ragqa.sentences import coverage, sentence_around, sentences, term_weights
from ragqa.types import Span

_piece = st.sampled_from(
    [
        "The cat",
        "Dr. Who",
        "e.g. this",
        "3.14",
        "。",
        "苹果",
        "！",
        "”",
        ". ",
        "? ",
        "! ",
        "\n",
        " ",
        "\n\n",
        "A",
        '"',
    ]
)
_texts = st.one_of(st.lists(_piece, max_size=25).map("".join), st.text(max_size=60))


def split(text: str) -> list[str]:
    return [text[s.start : s.end] for s in sentences(text)]


@given(_texts)
def test_sentences_hold_every_visible_character_once_and_in_order(text: str) -> None:
    found = sentences(text)
    at = 0
    for span in found:
        assert span.start >= at
        assert not text[at : span.start].strip()
        assert span.end > span.start
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        at = span.end
    assert not text[at:].strip()


@given(_texts, st.data())
def test_the_sentence_around_a_span_contains_it(text: str, data: st.DataObject) -> None:
    visible = [i for i, c in enumerate(text) if not c.isspace()]
    if not visible:
        assert sentence_around(text, Span(0, len(text))) == Span(0, len(text))
        return
    start = data.draw(st.sampled_from(visible))
    end = data.draw(st.sampled_from([i for i in visible if i >= start])) + 1
    around = sentence_around(text, Span(start, end))
    assert around.start <= start
    assert end <= around.end
    starts, ends = {s.start for s in sentences(text)}, {s.end for s in sentences(text)}
    assert around.start in starts
    assert around.end in ends


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. We stay. Why? Because!", ["It rains.", "We stay.", "Why?", "Because!"]),
        ("Dr. Smith met Mrs. Jones at St. Paul.", ["Dr. Smith met Mrs. Jones at St. Paul."]),
        ("See Fig. 3, e.g. The plot. Next.", ["See Fig. 3, e.g. The plot.", "Next."]),
        ("J. R. Tolkien wrote it. He did.", ["J. R. Tolkien wrote it.", "He did."]),
        ("Pi is 3.14 exactly. version 2.0 is out.", ["Pi is 3.14 exactly. version 2.0 is out."]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Line one\nLine two", ["Line one", "Line two"]),
        ("今天下雨。我们留下！为什么？因为。", ["今天下雨。", "我们留下！", "为什么？", "因为。"]),
        ("他说：“走吧。”然后离开。", ["他说：“走吧。”", "然后离开。"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_a_span_over_two_sentences_gets_both() -> None:
    text = "One is here. Two is there. Three is gone."
    span = Span(text.index("here"), text.index("there") + 5)
    around = sentence_around(text, span)
    assert text[around.start : around.end] == "One is here. Two is there."


def test_rare_terms_weigh_more() -> None:
    weights = term_weights(["cat dog", "cat bird", "cat cat"])
    assert weights["cat"] == pytest.approx(math.log(1 + 3 / 3))
    assert weights["dog"] == pytest.approx(math.log(1 + 3 / 1))
    assert "fish" not in weights


def test_coverage_is_the_weighted_share_of_distinct_terms() -> None:
    weights = {"cat": 1.0, "dog": 3.0}
    assert coverage(["cat", "dog", "dog"], "a dog", weights, unseen=5) == pytest.approx(0.75)
    assert coverage(["cat", "fish"], "a cat", weights, unseen=5) == pytest.approx(1 / 6)
    assert coverage([], "a cat", weights, unseen=5) == 0


@given(st.text(max_size=40), st.text(max_size=40))
def test_coverage_is_a_share_and_a_text_covers_itself(query: str, text: str) -> None:
    wanted = terms(query)
    assert 0 <= coverage(wanted, text, {}, unseen=1) <= 1 + 1e-9
    if wanted:
        assert coverage(wanted, query, {}, unseen=1) == pytest.approx(1)
