"""Written tokens → text: what was copied from a passage stands there in that passage's own wording.

The tokens of an uncased model have lost case and spacing; the passage that they were copied from has not. The text
comes about from left to right, so that it can be shown while it is written: what was given out is never taken back.
Words that some passage holds one after the other are a run. Of all the places that a run may have been copied from,
those remain that have the wording given out so far; where the next word goes on at none of them, the run ends and
another may begin.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ragqa.types import Passage
from ragqa.windows import TokenText

Read = Sequence[tuple[Passage, TokenText]]
"""Passages with the tokens of their texts."""

_CLOSING = "?.!,;:%)"
"""Marks that stand at the word before them."""

_CURRENCIES = "$£€"
"""Marks that stand at the number behind them."""

_BETWEEN = "-/"
"""Marks that stand at the words on both sides."""

_APOSTROPHES = "'’"
_AFTER_APOSTROPHE = frozenset(("s", "t", "re", "ve", "ll", "d", "m"))
"""What makes an apostrophe of a mark that else is a quotation's."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote for one prompt, without the token that ends it.

    ``log_probability`` is the mean over its tokens, the last included; ``ended`` whether it came to an end by itself;
    ``copied`` which of the tokens a model with a pointer took from its passages.
    """

    ids: tuple[int, ...]
    log_probability: float
    ended: bool
    copied: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run has come to: the number of the passage, the token that follows there, and the character."""

    passage: int
    token: int
    character: int


class Surface:
    """The text of tokens that come one after the other.

    A word is given out when the token after it is known, which may still be a piece of the same word; of several places
    to take its wording from, one where that token follows comes first.

    Args:
        read: the passages that tokens may have been copied from.
        tokenizer: of ``tokenizers``.
        heard: gets a piece of the text for each token, the empty one too; the pieces together are the text.
    """

    def __init__(self, read: Read, tokenizer: Any, heard: Callable[[str], None] | None = None) -> None:
        self._read, self._tokenizer, self._heard = read, tokenizer, heard
        self._text = ""
        self._word: list[int] = []
        self._copied = True
        self._run: list[_Place] = []
        self._own: list[int] = []  # tokens since the last run, which are worded as the tokenizer does
        self._is_between = False  # whether the text ends in a mark that the next word stands at

    def add(self, token: int, copied: bool) -> None:
        """The next token, and whether it was copied."""
        piece = ""
        if self._word and not self._continues(token):
            piece = self._worded(token)
        self._word.append(token)
        self._copied &= copied
        self._give(piece)

    def end(self) -> str:
        """The whole text; no token follows."""
        if self._word:
            self._give(self._worded(None))
        return self._text

    def _give(self, piece: str) -> None:
        self._text += piece
        if self._heard is not None:
            self._heard(piece)

    def _worded(self, following: int | None) -> str:
        """The characters of the word that has come to its end."""
        word, copied = self._word, self._copied
        self._word, self._copied = [], True
        found = list(self._going_on(word))
        goes_on = bool(found)
        # An answer that a passage holds as it is has that wording even where the model found the words by itself.
        if not found and (copied or not self._text):
            found = list(self._beginning(word))
        if not found:
            return self._by_tokenizer(word, following)
        after = [text for place, text in found if following is not None and self._next(place) == following]
        wording = after[0] if after else found[0][1]
        self._run = [place for place, text in found if text == wording]
        self._own = []
        if not goes_on:
            return self._apart(wording, following)
        self._is_between = False
        return wording

    def _going_on(self, word: Sequence[int]) -> Iterator[tuple[_Place, str]]:
        """The places of the run where ``word`` follows, behind it, and the characters from there to here."""
        for place in self._run:
            if (end := self._end(place.passage, place.token, word)) is not None:
                yield end, self._read[place.passage][0].text[place.character : end.character]

    def _beginning(self, word: Sequence[int]) -> Iterator[tuple[_Place, str]]:
        """Every place behind ``word`` in the passages, and its characters there."""
        if self._continues(word[0]):
            return
        for number, (passage, tokens) in enumerate(self._read):
            for first in np.flatnonzero(tokens.ids == word[0]).tolist():
                if (end := self._end(number, first, word)) is not None:
                    yield end, passage.text[int(tokens.offsets[first, 0]) : end.character]

    def _end(self, number: int, first: int, word: Sequence[int]) -> _Place | None:
        """The place behind ``word``, where it stands at token ``first`` and is a whole word there."""
        tokens = self._read[number][1]
        end = first + len(word)
        if end > len(tokens.ids) or tokens.ids[first:end].tolist() != list(word):
            return None
        found = _Place(number, end, int(tokens.offsets[end - 1, 1]))
        following = self._next(found)
        return None if following is not None and self._continues(following) else found

    def _next(self, place: _Place) -> int | None:
        ids = self._read[place.passage][1].ids
        return int(ids[place.token]) if place.token < len(ids) else None

    def _by_tokenizer(self, word: Sequence[int], following: int | None) -> str:
        before = self._tokenizer.decode(self._own)
        self._own, self._run = [*self._own, *word], []
        piece: str = self._tokenizer.decode(self._own)[len(before) :]
        if not before or piece[:1].isspace():
            return self._apart(piece, following)
        self._is_between = False
        return piece

    def _apart(self, piece: str, following: int | None) -> str:
        """``piece`` with a space before it, where one belongs between it and the text so far."""
        piece = piece.lstrip()
        was_between, self._is_between = self._is_between, self._stands_between(piece, following)
        is_amount = piece[:1].isdigit() and self._text.endswith(tuple(_CURRENCIES))
        joined = not self._text or self._text.endswith("(") or piece[:1] in _CLOSING or is_amount
        return piece if joined or was_between or self._is_between else f" {piece}"

    def _stands_between(self, piece: str, following: int | None) -> bool:
        """Whether ``piece`` is a mark within a word: well-known, Beyoncé's."""
        if not piece or following is None or not self._text[-1:].isalnum():
            return False
        is_apostrophe = piece in _APOSTROPHES and self._tokenizer.id_to_token(following) in _AFTER_APOSTROPHE
        return is_apostrophe or piece in _BETWEEN

    def _continues(self, token: int) -> bool:
        """Whether ``token`` is a piece of the word before it."""
        return _is_inner(str(self._tokenizer.id_to_token(token)))


def surface(ids: Sequence[int], copied: Sequence[bool], read: Read, tokenizer: Any) -> str:
    """The text of ``ids``, of which those ``copied`` have the wording of a passage; see ``Surface``."""
    text = Surface(read, tokenizer)
    for token, flag in zip(ids, copied, strict=True):
        text.add(token, flag)
    return text.end()


def inner_pieces(tokenizer: Any) -> npt.NDArray[np.bool_]:
    """Which tokens of the vocabulary are pieces of the word before them, (V,)."""
    found = np.zeros(tokenizer.get_vocab_size(), dtype=np.bool_)
    for piece, token in tokenizer.get_vocab().items():
        found[token] = _is_inner(piece)
    return found


def _is_inner(piece: str) -> bool:
    return piece.startswith("##")
