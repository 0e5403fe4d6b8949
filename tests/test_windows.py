"""Token windows over real text with the builtin model's tokenizer."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ragqa.backbone import builtin_path
from ragqa.errors import ModelError
from ragqa.windows import (
    MAX_QUERY_TOKENS,
    MAX_TITLE_TOKENS,
    Windower,
    load_tokenizer,
    pad,
    token_span,
    tokenize,
)

TOKENIZER = load_tokenizer(builtin_path())
ENGLISH = "The Zurich naïveté of co-operation cost $3.50 in 1848 — unbelievably cheap."
CHINESE = "检索增强生成在2020年提出，结合了检索与生成。"
EMOJI = "Launch 🚀 now! 👩‍👩‍👧 family 𝒳 ok"


def ids(count: int, first: int = 2000) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(first, first + count, dtype=np.int64)


@settings(max_examples=80, deadline=None)
@given(
    query=st.integers(0, 100),
    title=st.integers(0, 40),
    text=st.integers(0, 900),
    width=st.integers(140, 384),
    overlap=st.integers(0, 30),
)
def test_every_text_token_stands_in_a_window(
    query: int, title: int, text: int, width: int, overlap: int
) -> None:
    windower = Windower(101, 102, width, overlap)
    windows = list(windower.windows(ids(query, 10_000), ids(title, 20_000), ids(text)))
    covered = np.zeros(text, dtype=np.bool_)
    for window in windows:
        assert len(window.ids) <= width
        inside = slice(window.first, window.first + window.length)
        np.testing.assert_array_equal(
            window.ids[window.text_at : window.text_at + window.length], ids(text)[inside]
        )
        assert window.ids[0] == 101
        assert window.ids[-1] == window.ids[window.text_at - 1] == 102
        covered[inside] = True
    assert covered.all()
    for left, right in pairwise(windows):
        assert left.first + left.length - right.first == overlap
    # No window repeats what the former already holds entirely.
    assert all(w.first + w.length < text for w in windows[:-1])


def test_an_overlap_beyond_the_room_beside_a_long_query_still_moves_on() -> None:
    windower = Windower(101, 102, 128, 96)
    windows = list(windower.windows(ids(64, 10_000), ids(24, 20_000), ids(200)))
    room = 128 - 64 - 24 - 4
    assert [w.first for w in windows] == list(range(0, 200 - room + room // 2, room // 2))
    with pytest.raises(ValueError, match="92 tokens hold no passage"):
        Windower(101, 102, 92, 0)


def test_the_query_keeps_its_first_and_the_title_its_last_tokens() -> None:
    windower = Windower(101, 102)
    (window,) = windower.windows(ids(MAX_QUERY_TOKENS + 9, 10_000), ids(MAX_TITLE_TOKENS + 9, 20_000), ids(5))
    query, title = window.ids[1 : 1 + MAX_QUERY_TOKENS], window.ids[2 + MAX_QUERY_TOKENS : window.text_at - 1]
    np.testing.assert_array_equal(query, ids(MAX_QUERY_TOKENS, 10_000))
    np.testing.assert_array_equal(title, ids(MAX_TITLE_TOKENS, 20_009))


def test_segments_are_0_up_to_the_first_separator() -> None:
    windower = Windower(101, 102)
    (window,) = windower.windows(ids(3), ids(2), ids(4))
    assert windower.segment(window).tolist() == [0] * 5 + [1] * 8
    (untitled,) = windower.windows(ids(3), ids(0), ids(4))
    assert windower.segment(untitled).tolist() == [0] * 5 + [1] * 6


def test_only_cls_and_the_text_are_answerable() -> None:
    windower = Windower(101, 102)
    windows = [w for n in (4, 7) for w in windower.windows(ids(3), ids(2), ids(n))]
    inputs, mask, kinds, answerable = pad(windows, windower)
    assert inputs.shape == mask.shape == kinds.shape == answerable.shape == (2, 16)
    assert mask.sum(1).tolist() == [len(w.ids) for w in windows] == [13, 16]
    for row, window in enumerate(windows):
        places = [0, *range(window.text_at, window.text_at + window.length)]
        assert np.flatnonzero(answerable[row]).tolist() == places
        assert inputs[row, len(window.ids) :].sum() == 0


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        (ENGLISH, "Zurich"),
        (ENGLISH, "naïveté"),
        (ENGLISH, "co-operation"),
        (ENGLISH, "$3.50 in 1848"),
        (CHINESE, "检索增强生成"),
        (CHINESE, "2020年"),
        (EMOJI, "now"),
        (EMOJI, "family"),
        (EMOJI, "ok"),
    ],
)
def test_a_token_span_leads_back_to_its_characters(text: str, quote: str) -> None:
    (tokens,) = tokenize(TOKENIZER, [text])
    start = text.index(quote)
    span = token_span(tokens, start, start + len(quote))
    assert span is not None
    first, last = span
    assert text[tokens.offsets[first, 0] : tokens.offsets[last, 1]] == quote


def test_part_of_a_word_selects_its_tokens() -> None:
    (tokens,) = tokenize(TOKENIZER, [ENGLISH])
    at = ENGLISH.index("unbelievably") + 5
    span = token_span(tokens, at, at + 1)
    assert span is not None
    assert tokens.offsets[span[0], 0] <= at < tokens.offsets[span[1], 1]


def test_white_space_has_no_tokens() -> None:
    text = "a   b"
    (tokens,) = tokenize(TOKENIZER, [text])
    assert token_span(tokens, 2, 3) is None
    assert token_span(tokenize(TOKENIZER, [""])[0], 0, 1) is None


@settings(max_examples=80, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_offsets_lie_in_the_text_and_in_order(text: str) -> None:
    (tokens,) = tokenize(TOKENIZER, [text])
    assert tokens.offsets.shape == (len(tokens.ids), 2)
    assert (tokens.offsets[:, 0] <= tokens.offsets[:, 1]).all()
    assert (np.diff(tokens.offsets[:, 0]) >= 0).all()
    assert tokens.offsets.max(initial=0) <= len(text)


def test_blank_lines_separate_paragraphs() -> None:
    (tokens,) = tokenize(TOKENIZER, ["one\ntwo\n\nthree\n \t\nfour\n\n\nfive"])
    assert tokens.paragraphs.tolist() == [0, 0, 1, 2, 3]


def test_texts_are_tokenised_without_special_tokens_or_limits() -> None:
    long = "word " * 2000
    (tokens,) = tokenize(TOKENIZER, [long])
    assert len(tokens.ids) == 2000
    assert not {101, 102} & set(tokens.ids.tolist())


def test_a_folder_without_a_usable_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is missing"):
        load_tokenizer(tmp_path)
    from tokenizers.models import WordLevel

    Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"\[CLS\]"):
        Windower.of(load_tokenizer(tmp_path))
