"""CSV and TSV: every record is a row that carries the names of its columns."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

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
        reader = csv.reader(chain(sample, file), delimiter=delimiter)
        lines = table_lines(title_of(path), reader)
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
                f"is no valid CSV at line {reader.line_num} ({error})",
                next_step="check the quotes near that line",
            ) from error


def _delimiter(sample: list[str]) -> str:
    """The separator that splits the sample most evenly into more than one field; comma by default."""

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        common = max(set(widths), key=widths.count, default=0)
        return (widths.count(common) / len(widths), common) if common > 1 else (0.0, 0)

    return max((",", ";", "\t", "|"), key=evenness)
