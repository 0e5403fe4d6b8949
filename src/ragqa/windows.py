"""Query + passage → the token windows that a span reader sees; shared by training and reading.

    [CLS] query [SEP] title [SEP] text… [SEP]

A text that does not fit is cut into windows that overlap by ``overlap_tokens``, so every token of the text
stands in at least one window and none is dropped silently.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ragqa.errors import ModelError
from ragqa.types import Passage

Ints = npt.NDArray[np.int64]

MAX_QUERY_TOKENS = 64
MAX_TITLE_TOKENS = 24

_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class TokenText:
    """Token ids of a text, shape (T,), the characters each token covers, shape (T, 2), and its paragraph, (T,)."""

    ids: Ints
    offsets: Ints
    paragraphs: Ints


@dataclass(frozen=True, slots=True)
class Window:
    """One model input. Position 0 is [CLS]; ``ids[text_at + j]`` is token ``first + j`` of the text."""

    ids: Ints
    text_at: int
    first: int
    length: int


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder, set to cut and pad nothing.

    Raises:
        ModelError: the folder has no tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{path} is missing", next_step="save the model with its fast tokenizer")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[TokenText]:
    """Tokens of each text without special tokens; offsets are characters of that text."""
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    found = []
    for text, tokens in zip(texts, encoded, strict=True):
        offsets = np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2)
        breaks = [match.end() for match in _PARAGRAPH_BREAK.finditer(text)]
        paragraphs = np.searchsorted(breaks, offsets[:, 0], side="right").astype(np.int64)
        found.append(TokenText(np.array(tokens.ids, dtype=np.int64), offsets, paragraphs))
    return found


@dataclass(frozen=True, slots=True)
class Windower:
    """Lays out windows for one tokenizer."""

    cls_id: int
    sep_id: int
    max_window_tokens: int = 384
    overlap_tokens: int = 96

    def __post_init__(self) -> None:
        if self.max_window_tokens <= MAX_QUERY_TOKENS + MAX_TITLE_TOKENS + 4:
            raise ValueError(f"{self.max_window_tokens} tokens hold no passage beside a long query and title")

    @classmethod
    def of(cls, tokenizer: Tokenizer, max_window_tokens: int = 384, overlap_tokens: int = 96) -> "Windower":
        """The windower for the [CLS] and [SEP] of ``tokenizer``, or RoBERTa's <s> and </s>.

        Raises:
            ModelError: it has none.
        """
        cls_id, sep_id = (_special(tokenizer, names) for names in (("[CLS]", "<s>"), ("[SEP]", "</s>")))
        return cls(cls_id, sep_id, max_window_tokens, overlap_tokens)

    def windows(self, query: Ints, title: Ints, text: Ints) -> Iterator[Window]:
        """Windows over ``text`` (T,); the query keeps its first tokens, the title its last (innermost heading)."""
        query, title = query[:MAX_QUERY_TOKENS], title[max(0, len(title) - MAX_TITLE_TOKENS) :]
        sep = [self.sep_id]
        head = np.concatenate([[self.cls_id], query, sep, title, sep]).astype(np.int64)
        room = self.max_window_tokens - len(head) - 1
        # Beside a long query there may be less room than the overlap takes.
        step = room - self.overlap_tokens if room > self.overlap_tokens else -(-room // 2)
        first = 0
        while True:
            piece = text[first : first + room]
            yield Window(np.concatenate([head, piece, sep]), len(head), first, len(piece))
            if first + room >= len(text):
                return
            first += step

    def segment(self, window: Window) -> Ints:
        """Token types: 0 for [CLS] query [SEP], 1 for the rest."""
        kinds = np.ones(len(window.ids), dtype=np.int64)
        kinds[: int(np.argmax(window.ids == self.sep_id)) + 1] = 0
        return kinds


@dataclass(frozen=True, slots=True)
class LaidOut:
    """The windows of a query over several passages, the passage of each, and the tokens of each passage's text."""

    windows: list[Window]
    owners: list[int]
    texts: list[TokenText]


def lay_out(tokenizer: Tokenizer, windower: Windower, query: str, passages: Sequence[Passage]) -> LaidOut:
    """Everything that a model reads of ``passages`` for one query, passage by passage."""
    question, *rest = tokenize(tokenizer, [query, *(p.title for p in passages), *(p.text for p in passages)])
    titles, texts = rest[: len(passages)], rest[len(passages) :]
    pairs = [
        (window, owner)
        for owner, (title, text) in enumerate(zip(titles, texts, strict=True))
        for window in windower.windows(question.ids, title.ids, text.ids)
    ]
    return LaidOut([window for window, _ in pairs], [owner for _, owner in pairs], texts)


def _special(tokenizer: Tokenizer, names: Sequence[str]) -> int:
    found = [number for name in names if (number := tokenizer.token_to_id(name)) is not None]
    if not found:
        raise ModelError(
            f"the tokenizer has no {' or '.join(names)}",
            accepted="tokenizers of the BERT and RoBERTa families",
        )
    return int(found[0])


def token_span(text: TokenText, start: int, end: int) -> tuple[int, int] | None:
    """First and last token (inclusive) that overlap characters [start, end), or None."""
    inside = np.flatnonzero((text.offsets[:, 0] < end) & (text.offsets[:, 1] > start))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def pad(windows: Sequence[Window], windower: Windower) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
    """ids, attention mask, token types and answerable positions, each (N, L).

    A position is answerable when it is [CLS] (the null answer) or a token of the passage's text.
    """
    width = max(len(w.ids) for w in windows)
    ids = np.zeros((len(windows), width), dtype=np.int64)
    mask, kinds = np.zeros_like(ids), np.zeros_like(ids)
    answerable = np.zeros(ids.shape, dtype=np.bool_)
    for row, window in enumerate(windows):
        n = len(window.ids)
        ids[row, :n], mask[row, :n], kinds[row, :n] = window.ids, 1, windower.segment(window)
        answerable[row, 0] = True
        answerable[row, window.text_at : window.text_at + window.length] = True
    return ids, mask, kinds, answerable


def stacked_rows(rows: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Rows of unlike length, from windows of several batches, as one array (N, L), zeros on the right.

    Of what says which positions are answerable these are False.
    """
    found = np.zeros((len(rows), max(map(len, rows))), dtype=rows[0].dtype)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found
