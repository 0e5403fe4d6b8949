"""What a loader does with a bad record, and faults that records of every format may have."""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ragqa.errors import DataError
from ragqa.types import Example

Value = TypeVar("Value")

OnBad = Callable[[DataError], None]


def refuse(fault: DataError) -> None:
    """The strict way to meet a bad record: stop."""
    raise fault


def whole(example: Example) -> Example:
    """The example itself, all of whose texts are made of whole characters.

    Raises:
        DataError: see ``require_whole``.
    """
    require_whole(f"question {example.query.id!r}", *_texts(example))
    return example


def require_whole(name: str, *texts: str) -> None:
    """Refuse half of a character pair, which JSON can spell and no tokenizer and no file takes.

    Raises:
        DataError: one of the texts of what is called ``name`` has one.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            read = text[max(fault.start - 40, 0) : fault.start + 1]
            raise DataError(
                f"{name} holds half of a character pair: {read!r}",
                accepted=r"whole characters: an emoji is a pair, as \ud83d\ude00",
            ) from None


def field(record: Any, name: str, kind: type[Value]) -> Value:
    """The value of that name, which is of that ``kind``: null is no text.

    Raises:
        KeyError, TypeError: there is none, or of another kind.
    """
    value = record[name]
    if not isinstance(value, kind):
        accepted = "text" if kind is str else "a list"
        raise TypeError(f"{name} is {json.dumps(value)[:40]}, not {accepted}")
    return value


def _texts(example: Example) -> Iterator[str]:
    yield from (example.query.id, example.query.text, *example.query.choices, *example.answers)
    for passage in (*example.positives, *example.hard_negatives):
        yield from (passage.text, passage.title, passage.doc_id)
