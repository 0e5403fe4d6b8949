"""What goes over the pipes between an indexer and its loader process: lines of JSON, texts as raw UTF-8."""

import codecs
import json
import os
import select
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ragqa.errors import DocumentError
from ragqa.types import Document, Heading, Span

_BLOCK = 1 << 20

Left = Callable[[], float]


class WorkerTimeout(Exception):
    """The time was over before the worker had answered."""


class WorkerDied(Exception):
    """The pipe was closed from the other side."""


class Channel:
    """The parent's ends of both pipes; ``left`` says at each wait how many seconds may still pass."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._held = bytearray()
        self._poll = select.poll()
        self._poll.register(incoming, select.POLLIN)

    def send(self, message: dict[str, Any]) -> None:
        """
        Raises:
            WorkerDied: nobody reads any more.
        """
        data = json.dumps(message).encode("ascii") + b"\n"
        try:
            while data:
                data = data[os.write(self._outgoing, data) :]
        except OSError as error:
            raise WorkerDied from error

    def receive(self, left: Left) -> dict[str, Any]:
        """The next line as an object.

        Raises:
            WorkerTimeout, WorkerDied: no whole line came.
        """
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            self._fill(left)
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message

    def receive_text(self, size: int, left: Left) -> str:
        """The next ``size`` bytes as text, decoded as they come: a large text is never held twice in full.

        Raises:
            WorkerTimeout, WorkerDied: not all of them came.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        parts: list[str] = []
        while size:
            if not self._held:
                self._fill(left)
            block = bytes(self._held[:size])
            del self._held[: len(block)]
            size -= len(block)
            parts.append(decoder.decode(block, final=not size))
        return "".join(parts)

    def _fill(self, left: Left) -> None:
        while not self._poll.poll(max(0.0, left()) * 1000):
            if left() <= 0:
                raise WorkerTimeout
        try:
            block = os.read(self._incoming, _BLOCK)
        except OSError as error:
            raise WorkerDied from error
        if not block:
            raise WorkerDied
        self._held += block


def write_document(document: Document, out: BinaryIO) -> None:
    """Send one document: a line with everything but its text, then the text."""
    head = {
        "id": document.id,
        "title": document.title,
        "source": document.source,
        "meta": dict(document.meta),
        "headings": [[h.start, h.level, h.text] for h in document.headings],
        "pages": document.pages,
        "rows": [[row.start, row.end] for row in document.rows],
    }
    text = document.text
    size = len(text) if text.isascii() else sum(len(block) for block in _encoded(text))
    write_line({"document": head, "bytes": size}, out)
    for block in _encoded(text):
        out.write(block)


def write_line(message: dict[str, Any], out: BinaryIO) -> None:
    """Send one object as a line."""
    out.write(json.dumps(message).encode("ascii") + b"\n")


def _encoded(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _BLOCK):
        yield text[start : start + _BLOCK].encode("utf-8")


def fault_values(fault: DocumentError) -> list[str]:
    """A fault as ``fault_of`` takes it."""
    return [fault.found, fault.accepted, fault.next_step]


def fault_of(values: list[str]) -> DocumentError:
    """The fault that was sent."""
    found, accepted, next_step = values
    return DocumentError(found, accepted=accepted, next_step=next_step)


def document_of(head: dict[str, Any], text: str) -> Document:
    """The document that ``write_document`` sent."""
    return Document(
        id=head["id"],
        text=text,
        title=head["title"],
        source=head["source"],
        meta=head["meta"],
        headings=tuple(Heading(*heading) for heading in head["headings"]),
        pages=tuple(head["pages"]),
        rows=tuple(Span(*row) for row in head["rows"]),
    )
