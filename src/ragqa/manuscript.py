"""A document being written: loaders add headings, paragraphs and rows, offsets follow by themselves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ragqa.analysis import is_han
from ragqa.decoding import clean
from ragqa.paths import readable
from ragqa.tables import table_lines
from ragqa.types import Document, Heading, Span

_WORD = re.compile(r"[^\W\d_]{3,}|[\u3400-\u9fff]{2,}")
_GATHER = 4096


class Manuscript:
    """Collects the text of one document in reading order; blocks are separated by blank lines.

    List items and table rows follow each other on lines of their own, so that a list stays with the sentence
    that introduces it when the text is cut at blank lines.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gathered: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[int] = []
        self._rows: list[Span] = []

    def heading(self, level: int, text: str) -> None:
        """Begin a section; blank headings are ignored."""
        text = " ".join(clean(text).split())
        if text:
            start = self._write(text, "\n\n")
            self._headings.append(Heading(start, level, text))

    def paragraph(self, text: str, gap: str = "\n\n") -> int | None:
        """Add a block of text and return where it starts; None when it is blank."""
        text = clean(text).strip()
        return self._write(text, gap) if text else None

    def item(self, text: str, mark: str = "- ") -> None:
        """Add a list item under the line before it."""
        text = clean(text).strip()
        if text:
            self._write(mark + text, "\n")

    def row(self, line: str, gap: str = "\n") -> None:
        """Add one table row, already linearised, as an atomic passage."""
        line = " ".join(clean(line).split())
        if line:
            start = self._write(line, gap)
            self._rows.append(Span(start, start + len(line)))

    def table(self, caption: str, rows: Iterable[Sequence[str]], header: Sequence[str] | None = None) -> None:
        """Add every row of a table; see ``tables.table_lines``."""
        gap = "\n\n"
        for line in table_lines(caption, rows, header):
            self.row(line, gap)
            gap = "\n"

    def page(self) -> None:
        """Begin a page."""
        self._pages.append(self._length)

    def mark(self, start: int, level: int, text: str) -> None:
        """Note a heading that stands at ``start`` in text already written."""
        self._headings.append(Heading(start, level, " ".join(clean(text).split())))

    def first_heading(self, level: int) -> str:
        """The first heading of a level, or ""."""
        return next((heading.text for heading in self._headings if heading.level == level), "")

    def document(
        self, doc_id: str, path: PurePath, title: str = "", meta: Mapping[str, Any] | None = None
    ) -> Document:
        """The finished document; without a title of its own it is named after its file."""
        return Document(
            id=doc_id,
            text="".join(self._gathered) + "".join(self._parts),
            title=" ".join(clean(title).split()) or title_of(path),
            source=readable(path),
            meta=meta or {},
            headings=tuple(sorted(self._headings, key=lambda h: h.start)),
            pages=tuple(self._pages),
            rows=tuple(self._rows),
        )

    def _write(self, text: str, gap: str) -> int:
        if self._length:
            self._parts.append(gap)
            self._length += len(gap)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        if len(self._parts) > _GATHER:  # millions of small strings would cost more than their text
            self._gathered.append("".join(self._parts))
            self._parts.clear()
        return start


def title_of(path: PurePath) -> str:
    """A title from a file's name, or "" where the name holds no word (``00042.txt``)."""
    stem = readable(PurePath(path.stem))
    return " ".join(re.split(r"[\s_]+|(?<=\w)-(?=\w)", stem)).strip() if _WORD.search(stem) else ""


def join_lines(lines: Sequence[str]) -> str:
    """Wrapped lines as one, with a space between them unless both sides are Chinese."""
    parts: list[str] = []
    for line in filter(None, lines):
        if parts and not (_wide(parts[-1][-1]) and _wide(line[0])):
            parts.append(" ")
        parts.append(line)
    return "".join(parts)


def _wide(character: str) -> bool:
    return is_han(character) or "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uffef"
