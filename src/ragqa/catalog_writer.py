"""Makes the catalog of a generation: files in any order in, passages numbered in one order out."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragqa.catalog import Catalog, Counts, FileRecord
from ragqa.errors import DocumentError
from ragqa.types import Document, Passage

# The text stands last in a row: SQLite reads the columns before it without touching its pages.
_TABLES = (
    """CREATE TABLE {schema}.files (
        path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        documents INTEGER NOT NULL, error TEXT NOT NULL) STRICT""",
    """CREATE TABLE {schema}.documents (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, title TEXT NOT NULL,
        source TEXT NOT NULL, characters INTEGER NOT NULL, pages TEXT NOT NULL, headings TEXT NOT NULL,
        rows TEXT NOT NULL, meta TEXT NOT NULL, text TEXT NOT NULL) STRICT""",
    """CREATE TABLE {schema}.passages (
        row INTEGER PRIMARY KEY, document INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
        title TEXT NOT NULL, digest BLOB NOT NULL, text TEXT NOT NULL) STRICT""",
)

# Only keys are sorted; the texts are fetched in that order afterwards, so that no sorter ever holds them.
_FINISH = (
    "CREATE TABLE draft.numbers (number INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE)",
    "INSERT INTO draft.numbers SELECT row_number() OVER (ORDER BY id) - 1, number FROM draft.documents",
    "CREATE TABLE draft.places (row INTEGER PRIMARY KEY, key INTEGER NOT NULL, number INTEGER NOT NULL)",
    """INSERT INTO draft.places
        SELECT row_number() OVER (ORDER BY n.number, p.start, p.end, p.title) - 1, p.row, n.number
        FROM draft.passages p JOIN draft.numbers n ON n.key = p.document""",
    "INSERT INTO main.files SELECT * FROM draft.files ORDER BY path",
    """INSERT INTO main.documents
        SELECT n.number, id, file, title, source, characters, pages, headings, rows, meta, text
        FROM draft.numbers n CROSS JOIN draft.documents d ON d.number = n.key ORDER BY n.number""",
    """INSERT INTO main.passages
        SELECT o.row, o.number, start, end, title, digest, text
        FROM draft.places o CROSS JOIN draft.passages p ON p.row = o.key ORDER BY o.row""",
    "CREATE INDEX main.documents_of_file ON documents (file, id)",
    # Counted once: SQLite counts by reading a whole table.
    """CREATE TABLE main.counts AS SELECT
        (SELECT count(*) FROM main.files) AS files,
        (SELECT count(*) FROM main.files WHERE error <> '' AND documents = 0) AS skipped,
        (SELECT count(*) FROM draft.numbers) AS documents,
        (SELECT count(*) FROM draft.places) AS passages,
        (SELECT ifnull(sum(characters), 0) FROM draft.documents) AS characters""",
)

_CARRY = (
    "INSERT INTO draft.files SELECT f.* FROM temp.carried c CROSS JOIN old.files f ON f.path = c.path",
    """INSERT INTO temp.renumbered
        SELECT d.number, row_number() OVER () + (SELECT ifnull(max(number), 0) FROM draft.documents)
        FROM temp.carried c CROSS JOIN old.documents d ON d.file = c.path""",
    """INSERT INTO draft.documents
        SELECT r.new, id, file, title, source, characters, pages, headings, rows, meta, text
        FROM temp.renumbered r CROSS JOIN old.documents d ON d.number = r.old""",
    """INSERT INTO draft.passages (document, start, end, title, digest, text)
        SELECT r.new, start, end, title, digest, text
        FROM old.passages p CROSS JOIN temp.renumbered r ON r.old = p.document""",
)

_CACHE_KIB = 32 * 1024


class CatalogWriter:
    """Gathers files in any order; ``finish`` numbers the passages and leaves one catalog at ``path``.

    Leaving the ``with`` without ``finish`` leaves nothing. Everything is gathered in a second database beside
    ``path``, so for a moment twice the space is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._draft = path.with_name(f"{path.name}.draft")
        self._database = sqlite3.connect(path.absolute().as_uri(), uri=True, isolation_level=None)
        self._database.execute("ATTACH ? AS draft", (self._draft.absolute().as_uri(),))
        for schema in ("main", "draft"):
            # A crash discards both files with the whole generation: nothing needs to reach the disk before
            # the generation is published, and the journal only serves to take back a single file.
            for setting in ("journal_mode = MEMORY", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
                self._database.execute(f"PRAGMA {schema}.{setting}")
            for table in _TABLES:
                self._database.execute(table.format(schema=schema))
        self._database.execute("CREATE TABLE temp.carried (path TEXT PRIMARY KEY)")
        self._database.execute("CREATE TABLE temp.renumbered (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
        self._database.execute("BEGIN")

    def add_file(
        self, record: FileRecord, documents: Iterable[tuple[Document, Sequence[Passage]]] = ()
    ) -> None:
        """Add a file with its documents and their passages; ``record.documents`` is counted here.

        Whatever ``documents`` raises while it is read is passed on, and then nothing of the file stays, so it
        can be added again as a skipped file: a record with an ``error`` and no documents.

        Raises:
            DocumentError: a document's id is taken, or its text cannot be stored.
            ValueError: the file is there already, or a passage is not a slice of its document.
        """
        with self._all_or_nothing():
            count = 0
            for document, passages in documents:
                self._add_document(record.path, document, passages)
                count += 1
            values = replace(record, documents=count)
            try:
                self._insert(
                    "files", (values.path, values.sha256, values.size, values.mtime_ns, count, values.error)
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"{record.path} was added before") from error

    def _add_document(self, file: str, document: Document, passages: Sequence[Passage]) -> None:
        for passage in passages:
            inside = passage.doc_id == document.id and 0 <= passage.start <= passage.end <= len(document.text)
            if not inside or document.text[passage.start : passage.end] != passage.text:
                raise ValueError(f"{passage.id} is not a slice of document {document.id}")
        lists = (
            document.pages,
            [(heading.start, heading.level, heading.text) for heading in document.headings],
            [(row.start, row.end) for row in document.rows],
            dict(document.meta),
        )
        structure = [json.dumps(value, ensure_ascii=False) for value in lists]
        head = (None, document.id, file, document.title, document.source, len(document.text))
        try:
            number = self._insert("documents", (*head, *structure, document.text))
            for p in passages:
                self._insert("passages", (None, number, p.start, p.end, p.title, _digest(p), p.text))
        except sqlite3.IntegrityError as error:
            raise DocumentError(f"{file}: another document has the id {document.id!r}") from error
        except UnicodeEncodeError as error:
            raise DocumentError(f"{file}: {document.id!r} holds half of a surrogate pair") from error
        except (sqlite3.DataError, OverflowError) as error:
            raise DocumentError(f"{file}: {document.id!r} is too large ({error})") from error

    def _insert(self, table: str, values: Sequence[Any]) -> int:
        places = ", ".join("?" * len(values))
        return self._database.execute(f"INSERT INTO draft.{table} VALUES ({places})", values).lastrowid or 0

    def copy_files(self, other: Catalog, paths: Iterable[str]) -> None:
        """Carry files over from another catalog as they are, without reading their sources again.

        Raises:
            KeyError: ``other`` does not have one of the paths.
            DocumentError: the id of one of their documents is taken.
            ValueError: one of the files is there already.
        """
        wanted = [(path,) for path in paths]
        with self._attached(other), self._all_or_nothing():
            self._database.executemany("INSERT OR IGNORE INTO temp.carried VALUES (?)", wanted)
            missing = "SELECT path FROM temp.carried WHERE path NOT IN (SELECT path FROM old.files)"
            for (path,) in self._database.execute(missing):
                raise KeyError(path)
            try:
                for statement in _CARRY:
                    self._database.execute(statement)
            except sqlite3.IntegrityError as error:
                if "files.path" in str(error):
                    raise ValueError("one of the files was added before") from error
                raise DocumentError("two files hold documents of the same id") from error
            self._database.execute("DELETE FROM temp.carried")
            self._database.execute("DELETE FROM temp.renumbered")

    @contextlib.contextmanager
    def _attached(self, other: Catalog) -> Iterator[None]:
        # SQLite attaches only between transactions.
        self._database.execute("COMMIT")
        uri = f"{other.path.absolute().as_uri()}?mode=ro&immutable=1"
        self._database.execute("ATTACH ? AS old", (uri,))
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            if self._database.in_transaction:  # a full disk ends it
                self._database.execute("COMMIT")
            self._database.execute("DETACH old")
            self._database.execute("BEGIN")

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        self._database.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            # A full disk may have rolled everything back, savepoint included; the first fault is the cause.
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK TO one")
                self._database.execute("RELEASE one")
            raise
        self._database.execute("RELEASE one")

    def finish(self) -> Counts:
        """Number documents and passages, write the catalog and close; from now on ``Catalog`` opens it."""
        for statement in _FINISH:
            self._database.execute(statement)
        self._database.execute("COMMIT")
        self._database.close()
        self._draft.unlink()
        with Catalog(self.path) as catalog:
            return catalog.counts

    def __enter__(self) -> "CatalogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        if self._draft.exists():
            self._draft.unlink()
            self.path.unlink()


def _digest(passage: Passage) -> bytes:
    return hashlib.sha256(passage.titled_text.encode()).digest()
