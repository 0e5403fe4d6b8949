"""What an encoder–decoder with a pointer may not write next: halves of words, and what it has said already."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ragqa.windows import Ints

_CIRCLE = 3


class Guide:
    """Rules over the next token for one question.

    A word is a token and the inner pieces behind it. An inner piece goes on as some word of the source does, and a word
    that was copied, or has more than one piece, ends where a word of the source ends: otherwise a small decoder that
    loses its place in a long name glues pieces of several names together. Words of one piece are those of the
    vocabulary, and free. Nor are three tokens in a row written a second time, unless no other token is left.

    Args:
        rows: ids of the source, row by row; a row may begin within a word.
        inner: which tokens of the vocabulary go on with the word before them, (V,).
    """

    def __init__(self, rows: Iterable[Sequence[int]], inner: npt.NDArray[np.bool_]) -> None:
        self._inner = inner
        self._after: dict[tuple[int, ...], set[int]] = {}
        self._whole: set[tuple[int, ...]] = set()
        for row in rows:
            for word in self._words(row):
                self._whole.add(word)
                for length in range(1, len(word)):
                    self._after.setdefault(word[:length], set()).add(word[length])

    def shut_out(self, written: Sequence[int], copied: Sequence[bool]) -> Ints:
        """The tokens that must not follow ``written``, of which those ``copied`` came from the source."""
        word = self._last_word(written)
        going_on = list(self._after.get(word, ()))
        shut = self._inner.copy()
        if going_on and word not in self._whole and (len(word) > 1 or copied[-1]):
            shut[:] = True
        shut[going_on] = False
        circling = shut.copy()
        circling[repeating(written)] = True
        return np.flatnonzero(shut if circling.all() else circling)

    def _words(self, row: Sequence[int]) -> Iterable[tuple[int, ...]]:
        """The words of a row that begin in it."""
        starts = [at for at, token in enumerate(row) if not self._inner[token]]
        return (tuple(row[at:end]) for at, end in zip(starts, [*starts[1:], len(row)], strict=True))

    def _last_word(self, written: Sequence[int]) -> tuple[int, ...]:
        at = len(written) - 1
        while at > 0 and self._inner[written[at]]:
            at -= 1
        return tuple(written[max(at, 0) :])


def repeating(written: Sequence[int]) -> list[int]:
    """The next tokens that would write three tokens that stand there already once more.

    Ruled out as in Paulus, Xiong and Socher 2017, "A deep reinforced model for abstractive summarization",
    arXiv:1705.04304: a small decoder that has begun to go in circles does not find out by itself.
    """
    before = tuple(written[-_CIRCLE + 1 :])
    return [
        written[at + _CIRCLE - 1]
        for at in range(len(written) - _CIRCLE + 1)
        if tuple(written[at : at + _CIRCLE - 1]) == before
    ]
