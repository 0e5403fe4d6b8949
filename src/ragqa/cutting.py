"""Where text may be cut: spans of blocks, paragraphs, sentences, clauses and words, with exact offsets.

langchain-text-splitters proposes the places. Its own start indexes are wrong for token lengths, so each piece
is found again from the end of the one before.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

CountStretch = Callable[[str], int]
"""Tokens of a stretch of text that begins and ends where a cut is allowed."""

BLOCK = 1 << 18
"""Characters that are looked at together, so that a large document never stands in memory in pieces."""

_SEPARATORS = (
    r"\n\s*\n",
    r"\n",
    r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)\]]))\s+|(?<=[。！？…])(?![。！？…\s])",
    r"(?<=[;:,])\s+|(?<=[；：，、])(?![，。！？；：、…\s])",
    r"\s+",
)


def blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A long stretch in blocks, cut at the last blank line, line or blank of each where there is one."""
    while end - start > BLOCK:
        limit = start + BLOCK
        half = start + BLOCK // 2
        place = next(
            (p + 1 for mark in ("\n\n", "\n", " ") if (p := text.rfind(mark, half, limit)) >= 0), limit
        )
        yield start, place
        start = place
    yield start, end


def located(text: str, start: int, end: int, room: int, cost_of: CountStretch) -> Iterator[tuple[int, int]]:
    """The pieces that the text splitter proposes, each found from the end of the one before."""
    place = start
    for piece in _splitter(room, cost_of).split_text(text[start:end]):
        found = text.index(piece, place, end)
        yield found, found + len(piece)
        place = found + len(piece)


def joined(
    text: str, pieces: Iterator[tuple[int, int]], room: int, cost_of: CountStretch
) -> Iterator[tuple[int, int]]:
    """Neighbours that fit together as one: the splitter leaves scraps beside long paragraphs."""
    held: tuple[int, int] | None = None
    held_cost = 0
    for start, end in pieces:
        cost = cost_of(text[start:end])
        if held is not None and held_cost + cost <= room:
            held, held_cost = (held[0], end), held_cost + cost
        else:
            if held is not None:
                yield held
            held, held_cost = (start, end), cost
    if held is not None:
        yield held


def _splitter(room: int, cost_of: CountStretch) -> "RecursiveCharacterTextSplitter":
    return _splitter_class()(
        separators=list(_SEPARATORS),
        is_separator_regex=True,
        keep_separator="end",
        strip_whitespace=False,
        chunk_size=room,
        chunk_overlap=0,
        length_function=cost_of,
    )


@lru_cache(maxsize=1)
def _splitter_class() -> type["RecursiveCharacterTextSplitter"]:
    """Imported with the first text that has to be cut: it takes a third of a second."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without blanks at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
