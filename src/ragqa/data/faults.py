"""What a loader does with a bad record, and one fault that records of every format may have."""

from collections.abc import Callable, Iterator

from ragqa.errors import DataError
from ragqa.types import Example

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


def _texts(example: Example) -> Iterator[str]:
    yield from (example.query.id, example.query.text, *example.query.choices, *example.answers)
    for passage in (*example.positives, *example.hard_negatives):
        yield from (passage.text, passage.title, passage.doc_id)
