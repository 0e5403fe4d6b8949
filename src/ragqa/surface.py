"""Written tokens → text: what was copied from a passage stands there in that passage's own wording.

The tokens of an uncased model have lost case and spacing; the passage that they were copied from has not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragqa.types import Passage
from ragqa.windows import Ints, TokenText

Read = Sequence[tuple[Passage, TokenText]]
"""Passages with the tokens of their texts."""


def surface(ids: Sequence[int], copied: Sequence[bool], read: Read, tokenizer: Any) -> str:
    """The text of ``ids``: as the passages have it where they hold all of it, else piece by piece.

    Args:
        copied: for each token, whether it was copied; only such are worded as in a passage.
        tokenizer: of ``tokenizers``.
    """
    whole = _found(ids, read, tokenizer)
    if whole is not None:
        return whole
    pieces: list[str] = []
    run: list[int] = []
    at = 0
    while at < len(ids):
        end = next((place for place in range(at, len(ids)) if not copied[place]), len(ids))
        # The longest run of copied tokens that some passage holds; one that begins amid a word is none.
        worded = ((size, _found(ids[at : at + size], read, tokenizer)) for size in range(end - at, 0, -1))
        size, words = next(
            ((n, w) for n, w in worded if w is not None and _is_word(ids, at, at + n, tokenizer)), (0, None)
        )
        if words is None:
            run.append(ids[at])
            at += 1
            continue
        pieces += [tokenizer.decode(run), words] if run else [words]
        run, at = [], at + size
    pieces += [tokenizer.decode(run)] if run else []
    return _joined(pieces)


def _is_word(ids: Sequence[int], start: int, end: int, tokenizer: Any) -> bool:
    """Whether words begin at ``start`` and end at ``end``: no piece of one is cut off."""
    return not any(_continues(ids[at], tokenizer) for at in (start, end) if at < len(ids))


def _continues(token: int, tokenizer: Any) -> bool:
    return str(tokenizer.id_to_token(token)).startswith("##")


def _found(ids: Sequence[int], read: Read, tokenizer: Any) -> str | None:
    """The characters of the first passage that holds the run ``ids`` as whole words."""
    for passage, tokens in read:
        for first in _places(np.asarray(ids), tokens.ids):
            last = first + len(ids) - 1
            if _is_word(tokens.ids.tolist(), first, last + 1, tokenizer):
                return passage.text[tokens.offsets[first, 0] : tokens.offsets[last, 1]]
    return None


def _places(run: Ints, ids: Ints) -> list[int]:
    """Where ``run`` stands in ``ids``."""
    if not len(run) or len(run) > len(ids):
        return []
    windows = np.lib.stride_tricks.sliding_window_view(ids, len(run))
    return [int(place) for place in np.flatnonzero((windows == run).all(1))]


def _joined(pieces: Sequence[str]) -> str:
    text = " ".join(piece for piece in pieces if piece)
    for mark in "?.!,;:%)":
        text = text.replace(f" {mark}", mark)
    return text.replace("( ", "(").strip()
