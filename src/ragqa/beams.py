"""Which texts an encoder–decoder goes on with: the likeliest so far, side by side; one of them is greedy decoding."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ragqa.guiding import Guide
from ragqa.surface import Written

_NEVER = -1.0
_LEAST = 1e-45
"""In place of a likelihood that float32 rounds to 0."""


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """How many texts of a question are written side by side, and how ended ones compare.

    A text is worth the mean of ln P over its tokens, so that short ones win nothing by having few, and ``reward`` for
    each: the end of a text is likely early, where little has been said.
    """

    width: int = 1
    reward: float = 0.0


GREEDILY = BeamSearch()
"""One text, which goes on with the likeliest token each time."""


@dataclass(frozen=True, slots=True)
class _Text:
    """What is written so far, which tokens of it were copied, and ln P of all of them."""

    tokens: tuple[int, ...] = ()
    copied: tuple[bool, ...] = ()
    log_probability: float = 0.0

    @property
    def mean(self) -> float:
        return self.log_probability / max(1, len(self.tokens))

    def written(self, *, ended: bool) -> Written:
        """It as told to others: without the token that ended it."""
        length = len(self.tokens) - ended
        return Written(self.tokens[:length], self.mean, ended, self.copied[:length])


class Beam:
    """The texts of one question.

    At each step the likeliest continuations of all texts are kept, by ln P, as many as ``search`` is wide. It is over
    when as many have come to their end and the likeliest that goes on is worth less than the best of them.

    Args:
        guide: what may not follow.
        end: the token that ends a text.
    """

    def __init__(self, search: BeamSearch, guide: Guide, end: int) -> None:
        self.width, self._reward, self._guide, self._end = search.width, search.reward, guide, end
        self._open = [_Text()]
        self._ended: list[_Text] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing better can be expected."""
        if not self._open or len(self._ended) < self.width:
            return not self._open
        return self._worth(self._open[0]) <= max(map(self._worth, self._ended))

    @property
    def last(self) -> list[int]:
        """The last token of each text that goes on."""
        return [text.tokens[-1] for text in self._open]

    @property
    def last_copied(self) -> bool:
        """Whether that of the likeliest was copied."""
        return self._open[0].copied[-1]

    def advance(self, likelihoods: npt.NDArray[Any], copied: npt.NDArray[Any]) -> list[int]:
        """Let every text go on by one token.

        Args:
            likelihoods: P of each token after each text, (texts, V); it is written over.
            copied: the part of it that is copied, (texts, V).

        Returns:
            For each text that goes on now, which of those before it continues.
        """
        ranked = sorted(self._continued(likelihoods, copied), key=lambda one: -one[1].log_probability)
        parents, going_on = [], []
        # As many continuations may end as there are texts, so twice as many are enough.
        for place, (parent, text) in enumerate(ranked[: 2 * self.width]):
            if text.tokens[-1] != self._end:
                parents.append(parent)
                going_on.append(text)
            elif place < self.width:
                self._ended.append(text)
            if len(going_on) == self.width:
                break
        self._open = going_on
        return parents

    def ranked(self) -> tuple[Written, ...]:
        """At most ``width`` texts that have come to their end, best first; one that has not, where none has."""
        texts = sorted(self._ended or self._open[:1], key=self._worth, reverse=True)[: self.width]
        return tuple(text.written(ended=bool(self._ended)) for text in texts)

    def _worth(self, text: _Text) -> float:
        return text.mean + self._reward * len(text.tokens)

    def _continued(
        self, likelihoods: npt.NDArray[Any], copied: npt.NDArray[Any]
    ) -> Iterable[tuple[int, _Text]]:
        """The likeliest continuations of each text, and its number."""
        for number, text in enumerate(self._open):
            row = likelihoods[number]
            row[self._guide.shut_out(text.tokens, text.copied)] = _NEVER
            for token in _greatest(row, 2 * self.width):
                share = bool(copied[number, token] > 0.5 * row[token])
                total = text.log_probability + math.log(max(row[token], _LEAST))
                yield number, _Text((*text.tokens, token), (*text.copied, share), total)


def _greatest(row: npt.NDArray[Any], count: int) -> list[int]:
    """The places of the ``count`` greatest likelihoods, the first of equals first, without those ruled out."""
    count = min(count, len(row))
    places = np.flatnonzero(row >= np.partition(row, -count)[-count])
    places = places[row[places] > _NEVER]
    found: list[int] = places[np.argsort(-row[places], kind="stable")][:count].tolist()
    return found
