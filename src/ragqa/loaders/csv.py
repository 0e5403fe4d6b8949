"""CSV and TSV: every record is a row that carries the names of its columns."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ragqa.decoding import open_text
from ragqa.errors import DocumentError
from ragqa.manuscript import Manuscript, title_of
from ragqa.tables import table_lines
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".csv", ".tsv")

MAX_ROWS = 20_000
_SAMPLE_LINES = 100
_MAX_FIELD = 10 << 20


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One row for each record; the caption of the rows is the name of the file.

    A file of more than ``MAX_ROWS`` records becomes several documents, the later ones named ``doc_id#first row``.

    Raises:
        DocumentError: quotes that never close, or undecodable bytes.
    """
    csv.field_size_limit(_MAX_FIELD)
    with open_text(path) as file:
        sample = list(islice(file, _SAMPLE_LINES))
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(sample)
        # Strict: a quote that never closes would swallow every row below it into one cell.
        reader = csv.reader(chain(sample, file), delimiter=delimiter, strict=True)
        records = _Counted(reader)
        lines = table_lines(title_of(path), records)
        try:
            first = 1
            while part := list(islice(lines, MAX_ROWS)):
                manuscript = Manuscript()
                for line in part:
                    manuscript.row(line)
                yield manuscript.document(doc_id if first == 1 else f"{doc_id}#{first}", path)
                first += len(part)
        except csv.Error as error:
            raise DocumentError(
                f"is no valid CSV: the record that begins in line {records.next_line} does not end well ({error})",
                next_step="check the quotes of that line",
            ) from error


class _Counted:
    """The records of a reader, and the line in which the next one begins."""

    def __init__(self, reader: Any) -> None:
        self._reader, self.next_line = reader, 1

    def __iter__(self) -> Iterator[list[str]]:
        for record in self._reader:
            self.next_line = self._reader.line_num + 1
            yield record


def _delimiter(sample: list[str]) -> str:
    """The separator that splits the sample most evenly into more than one field; comma by default."""

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        common = max(set(widths), key=widths.count, default=0)
        return (widths.count(common) / len(widths), common) if common > 1 else (0.0, 0)

    return max((",", ";", "\t", "|"), key=evenness)
