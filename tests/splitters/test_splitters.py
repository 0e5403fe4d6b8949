"""What every splitter promises, on any text."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa import plugins
from ragqa.errors import PluginError
from ragqa.manuscript import Manuscript
from ragqa.splitters.headings import HeadingsSplitter
from ragqa.splitters.recursive import RecursiveSplitter
from ragqa.splitters.whole import WholeSplitter
from ragqa.types import Document, Heading, Passage, Span


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Like BERT's: Han and punctuation one by one, words in pieces of four letters, two special tokens."""
    return [
        2 + sum(-(-len(t) // 4) for t in re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+|[^\w\s]", s))
        for s in texts
    ]


def count_bytes(texts: Sequence[str]) -> list[int]:
    """The worst a tokenizer can do: one token for each byte."""
    return [2 + len(text.encode()) for text in texts]


WORDS = st.sampled_from(
    [
        *[
            "the",
            "a",
            "retrieval",
            "Dr.",
            "it ends.",
            "really?",
            "\n",
            "\n\n",
            "  ",
            "x" * 70,
            "—",
            "“quoted.”",
            "3.14",
        ],
        *["检索增强生成", "结束。", "真的？", "，", "👩‍👩‍👧‍👦", "é", "ﷺ", "\u200b"],
    ]
)
ANY_TEXT = st.one_of(
    st.lists(WORDS, max_size=120).map(" ".join),
    st.lists(WORDS, max_size=120).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Documents with repeated headings, rows and free text between them."""
    manuscript = Manuscript()
    for kind in draw(st.lists(st.sampled_from("hprr"), max_size=8)):
        text = draw(ANY_TEXT)
        if kind == "h":
            manuscript.heading(
                draw(st.integers(1, 4)), draw(st.sampled_from(["Costs", "Time", "费用", text[:40]]))
            )
        elif kind == "p":
            manuscript.paragraph(text)
        else:
            manuscript.row("Table 1 — Key: " + text)
    return manuscript.document("doc", PurePath("a.txt"), draw(st.sampled_from(["", "The report"])))


def check(
    document: Document, passages: Sequence[Passage], count: Callable[[Sequence[str]], list[int]], most: int
) -> None:
    covered = [False] * len(document.text)
    for passage in passages:
        assert document.text[passage.start : passage.end] == passage.text
        assert passage.text.strip() == passage.text != ""
        covered[passage.start : passage.end] = [True] * len(passage.text)
    missed = [i for i, c in enumerate(document.text) if not covered[i] and not c.isspace()]
    assert not missed
    assert all(tokens <= most for tokens in count([p.titled_text for p in passages]))
    assert passages == sorted(passages, key=lambda p: p.start)


@given(documents(), st.sampled_from([16, 40, 200]), st.sampled_from([0, 5]))
@settings(max_examples=150, deadline=None)
def test_slices_are_exact_nothing_is_lost_and_no_passage_is_too_long(
    document: Document, most: int, overlap: int
) -> None:
    for kind in (HeadingsSplitter, RecursiveSplitter):
        splitter = kind(count_tokens, max_passage_tokens=most, overlap_words=overlap)
        passages = splitter.split(document)
        check(document, passages, count_tokens, most)
        assert passages == splitter.split(document)


@given(ANY_TEXT, st.sampled_from([32, 100]))
@settings(max_examples=80, deadline=None)
def test_the_promise_holds_for_a_tokenizer_of_bytes(text: str, most: int) -> None:
    document = Document("d", text, "A title that is quite long for this")
    check(document, HeadingsSplitter(count_bytes, max_passage_tokens=most).split(document), count_bytes, most)


@pytest.mark.parametrize(
    "unit",
    ["a", "检", "👩‍👩‍👧‍👦", "a.", "。", "\n", "x "],
    ids=["a", "Han", "emoji", "dots", "stops", "lines", "words"],
)
def test_a_megabyte_of_one_thing_is_cut_within_bounds(unit: str) -> None:
    document = Document("d", "begin " + unit * (1_000_000 // len(unit.encode())) + " end")
    passages = HeadingsSplitter(count_tokens).split(document)
    check(document, passages, count_tokens, 200)
    assert max(len(p.text) for p in passages) <= 5_000


REPORT = Manuscript()
REPORT.heading(1, "Costs")
REPORT.heading(2, "Memory")
REPORT.paragraph("LoRA needs four gigabytes.")
REPORT.heading(2, "Time")
REPORT.table("Table 2", [["LoRA", "3 h"], ["full", "9 h"]], ["Method", "Time"])
REPORT.heading(1, "End")
REPORTED = REPORT.document("r", PurePath("r.md"), "The report")


def test_titles_are_heading_paths_and_bare_headings_go_with_what_follows() -> None:
    passages = HeadingsSplitter(count_tokens).split(REPORTED)
    assert [(p.title, p.text) for p in passages] == [
        ("The report › Costs › Memory", "Costs\n\nMemory\n\nLoRA needs four gigabytes."),
        ("The report › Costs › Time", "Time\n\nTable 2 — Method: LoRA; Time: 3 h"),
        ("The report › Costs › Time", "Table 2 — Method: full; Time: 9 h"),
        ("The report › End", "End"),
    ]


def test_a_long_row_keeps_its_caption_and_key_in_the_title_of_every_piece() -> None:
    manuscript = Manuscript()
    manuscript.row("Table 2 — Method: LoRA; Note: " + "many words here " * 60)
    document = manuscript.document("d", PurePath("0"), "Report")
    first, *others = HeadingsSplitter(count_tokens, max_passage_tokens=60).split(document)
    assert first.title == "Report"
    assert len(others) > 3
    assert {p.title for p in others} == {"Report › Table 2 — Method: LoRA"}


def test_a_title_longer_than_a_third_loses_its_outer_parts_first() -> None:
    document = Document(
        "d", "text here", "A very long title of a document " * 3, headings=(Heading(0, 1, "Inner"),)
    )
    (passage,) = HeadingsSplitter(count_tokens, max_passage_tokens=30).split(document)
    assert passage.title.endswith("Inner")
    assert count_tokens([passage.title])[0] - 2 <= 10


def test_pieces_end_with_sentences_where_they_can() -> None:
    sentences = [f"Sentence number {i} speaks of retrieval." for i in range(60)]
    chinese = [f"第{i}句话说的是检索增强生成的方法。" for i in range(60)]
    for text in (" ".join(sentences), "".join(chinese)):
        passages = HeadingsSplitter(count_tokens, max_passage_tokens=64).split(Document("d", text))
        assert len(passages) > 5
        assert all(p.text[-1] in ".。" for p in passages)


def test_overlap_repeats_whole_words_of_the_piece_before() -> None:
    words = " ".join(f"w{i}" for i in range(300))
    passages = RecursiveSplitter(count_tokens, max_passage_tokens=40, overlap_words=3).split(
        Document("d", words)
    )
    shared = [set(a.text.split()) & set(b.text.split()) for a, b in pairwise(passages)]
    assert all(len(s) == 3 for s in shared)


def test_recursive_ignores_headings_and_keeps_rows_whole() -> None:
    passages = RecursiveSplitter(count_tokens).split(REPORTED)
    assert {p.title for p in passages} == {"The report"}
    assert [p.text for p in passages if "Method" in p.text] == [
        "Table 2 — Method: LoRA; Time: 3 h",
        "Table 2 — Method: full; Time: 9 h",
    ]


def test_whole_makes_one_passage_of_any_length() -> None:
    text = " \n" + "word " * 5000
    (passage,) = WholeSplitter().split(Document("d", text, "T"))
    assert text[passage.start : passage.end] == passage.text == text.strip()
    assert WholeSplitter().split(Document("d", " \n")) == []


def test_rows_and_headings_at_the_very_edges_are_safe() -> None:
    document = Document(
        "d", "a", headings=(Heading(0, 1, "other words"), Heading(9, 1, "beyond")), rows=(Span(0, 1),)
    )
    assert [p.text for p in HeadingsSplitter(count_tokens).split(document)] == ["a"]


def test_options_are_checked() -> None:
    assert plugins.build(
        "splitters", {"name": "headings", "max_passage_tokens": 64}, count_tokens=count_tokens
    )
    for option in ({"max_passage_tokens": 3}, {"overlap_words": -1}):
        with pytest.raises(PluginError, match="accepted"):
            plugins.build("splitters", {"name": "headings", **option}, count_tokens=count_tokens)
