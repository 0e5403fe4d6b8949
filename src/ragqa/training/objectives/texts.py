"""What a tokenizer makes of every text of a data set, made once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ragqa.types import Example

_BATCH = 2048

Made = TypeVar("Made")


class Texts(Generic[Made]):
    """Text → what ``make`` makes of it: of some thousand texts at once, which bounds the memory."""

    def __init__(self, make: Callable[[list[str]], Iterable[Made]]) -> None:
        self._make = make
        self._known: dict[str, Made] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Make what is not known yet."""
        missing = sorted(set(texts) - self._known.keys())
        for at in range(0, len(missing), _BATCH):
            batch = missing[at : at + _BATCH]
            self._known.update(zip(batch, self._make(batch), strict=True))

    def __getitem__(self, text: str) -> Made:
        return self._known[text]


def texts_of(examples: Sequence[Example]) -> set[str]:
    """Their questions, and the titles and texts of all their passages."""
    passages = [p for e in examples for p in (*e.positives, *e.hard_negatives)]
    return {e.query.text for e in examples} | {text for p in passages for text in (p.text, p.title)}
