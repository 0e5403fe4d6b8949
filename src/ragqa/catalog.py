"""The SQLite catalog of a generation, as its readers see it: files, documents, passages and where they stand.

Row numbers of passages are the rows of the vectors and of the term index. They follow one order, documents by
id and passages by place, so that the same files give the same rows whatever was indexed before.
``catalog_writer`` makes the file; afterwards it never changes.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragqa.errors import IndexDamaged
from ragqa.types import Document, Heading, Passage, Span

_PASSAGE = (
    "SELECT d.id, p.start, p.end, p.text, p.title FROM passages p JOIN documents d ON d.number = p.document"
)
_BLOCK_ROWS = 1000

Digests = npt.NDArray[np.bytes_]
"""Shape (N,), dtype S32: the SHA-256 of each passage's titled text, in row order."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What was known of a source file when it was read.

    ``error`` says why it was skipped or, where it has documents, what of it was left out; else it is empty.
    """

    path: str
    sha256: str
    size: int
    mtime_ns: int
    documents: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a catalog holds; ``skipped`` of the ``files`` could not be read."""

    files: int
    skipped: int
    documents: int
    passages: int
    characters: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Catalog:
    """A finished catalog, open for reading; may be used by several threads at once."""

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            IndexDamaged: there is no catalog in that file.
        """
        self.path = path
        self._turn = threading.Lock()
        try:
            # immutable: no lock, no journal and no write is ever tried, so a read-only folder will do.
            uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
            self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        try:
            columns = ", ".join(field.name for field in fields(Counts))
            self.counts = Counts(*self._fetch(f"SELECT {columns} FROM counts")[0])
        except (sqlite3.Error, IndexError) as error:
            self._database.close()
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> IndexDamaged:
        return IndexDamaged(f"{self.path} is no catalog: {error}", next_step="ragqa index --rebuild PATH")

    def _fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._turn:
            return self._database.execute(query, values).fetchall()

    def __len__(self) -> int:
        return self.counts.passages

    def passages(self, rows: Sequence[int]) -> list[Passage]:
        """The passages of ``rows``, in that order.

        Raises:
            KeyError: there is no such row.
        """
        query = f"{_PASSAGE} WHERE p.row = ?"
        with self._turn:
            found = [self._database.execute(query, (int(row),)).fetchone() for row in rows]
        if None in found:
            raise KeyError(f"no passage has row {rows[found.index(None)]}")
        return [Passage(*values) for values in found]

    def all_passages(self) -> Iterator[Passage]:
        """Every passage in row order, a block in memory at a time."""
        query = f"{_PASSAGE} WHERE p.row >= ? AND p.row < ? ORDER BY p.row"
        for first in range(0, len(self), _BLOCK_ROWS):
            for values in self._fetch(query, first, first + _BLOCK_ROWS):
                yield Passage(*values)

    def document(self, doc_id: str) -> Document:
        """The document as it was added.

        Raises:
            KeyError: there is no such document.
        """
        columns = "text, title, source, meta, headings, pages, rows"
        found = self._fetch(f"SELECT {columns} FROM documents WHERE id = ?", doc_id)
        if not found:
            raise KeyError(doc_id)
        text, title, source, *structure = found[0]
        meta, headings, pages, rows = map(json.loads, structure)
        return Document(
            id=doc_id,
            text=text,
            title=title,
            source=source,
            meta=meta,
            headings=tuple(Heading(*heading) for heading in headings),
            pages=tuple(pages),
            rows=tuple(Span(*row) for row in rows),
        )

    def pages(self, doc_id: str) -> tuple[int, ...]:
        """The first character of each page of a document, without reading its text; see ``types.page_of``.

        Raises:
            KeyError: there is no such document.
        """
        found = self._fetch("SELECT pages FROM documents WHERE id = ?", doc_id)
        if not found:
            raise KeyError(doc_id)
        return tuple(json.loads(found[0][0]))

    def files(self) -> dict[str, FileRecord]:
        """Path → record of every file that was looked at, by path."""
        columns = "path, sha256, size, mtime_ns, documents, error"
        return {row[0]: FileRecord(*row) for row in self._fetch(f"SELECT {columns} FROM files ORDER BY path")}

    def documents_of_file(self, path: str) -> tuple[str, ...]:
        """Ids of the documents that came from a file, sorted; none for an unknown or skipped file."""
        return tuple(
            row[0] for row in self._fetch("SELECT id FROM documents WHERE file = ? ORDER BY id", path)
        )

    def digests(self) -> Digests:
        """What the encoder saw of each passage: equal digests, equal vectors. 32 bytes a passage."""
        with self._turn:
            rows = self._database.execute("SELECT digest FROM passages ORDER BY row")
            return np.frombuffer(b"".join(row[0] for row in rows), dtype="S32")

    def rows_in(self, other: "Catalog") -> npt.NDArray[np.int64]:
        """For each passage here the first row of ``other`` with the same titled text, or -1; shape (N,)."""
        mine, theirs = self.digests(), other.digests()
        if not len(theirs):
            return np.full(len(mine), -1, dtype=np.int64)
        order = np.argsort(theirs, kind="stable")
        place = np.searchsorted(theirs, mine, sorter=order)
        rows = order[np.minimum(place, len(theirs) - 1)]
        return np.where(theirs[rows] == mine, rows, -1).astype(np.int64)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
