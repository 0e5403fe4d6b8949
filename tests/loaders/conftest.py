"""Files of every format, made as their programs make them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ragqa.loaders import load_document_file
from ragqa.types import Document

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def _write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


@pytest.fixture
def read(write: Write) -> Callable[[str, str | bytes], Document]:
    """Write a file and load its only document."""

    def _read(name: str, content: str | bytes) -> Document:
        (document,) = load_document_file(write(name, content), name)
        return document

    return _read


@pytest.fixture
def rows_of() -> Callable[[Document], list[str]]:
    """The lines of a document's table rows."""
    return lambda document: [document.text[row.start : row.end] for row in document.rows]


@pytest.fixture
def make_pdf() -> Callable[[Sequence[Sequence[str]]], bytes]:
    """A PDF whose pages show the given lines in Helvetica."""
    return _pdf


@pytest.fixture
def make_ruled_pdf() -> Callable[[Sequence[tuple[str, Sequence[Sequence[str]], str]]], bytes]:
    """A PDF each of whose pages shows a line, a table with a box around every cell, and another line."""
    return lambda pages: _document([_ruled(*page) for page in pages])


@pytest.fixture
def make_sized_pdf() -> Callable[[Sequence[Sequence[tuple[str, int]]]], bytes]:
    """A PDF whose pages show lines of the given sizes in points."""
    return lambda pages: _document([_sized(lines) for lines in pages])


def _sized(lines: Sequence[tuple[str, int]]) -> str:
    shown = " ".join(f"/F1 {size} Tf ({_escaped(line)}) Tj T*" for line, size in lines)
    return f"BT 30 TL 72 720 Td {shown} ET"


def _pdf(pages: Sequence[Sequence[str]]) -> bytes:
    return _document(
        [
            f"BT /F1 12 Tf 14 TL 72 720 Td {' '.join(f'({_escaped(line)}) Tj T*' for line in lines)} ET"
            for lines in pages
        ]
    )


def _ruled(before: str, rows: Sequence[Sequence[str]], after: str) -> str:
    width, height, top = 150, 20, 700
    drawn = [f"BT /F1 10 Tf 72 720 Td ({_escaped(before)}) Tj ET"]
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            x, y = 72 + column * width, top - (row + 1) * height
            drawn.append(f"{x} {y} {width} {height} re S")
            drawn.append(f"BT /F1 10 Tf {x + 4} {y + 6} Td ({_escaped(cell)}) Tj ET")
    drawn.append(f"BT /F1 10 Tf 72 {top - (len(rows) + 1) * height} Td ({_escaped(after)}) Tj ET")
    return " ".join(drawn)


def _document(pages: Sequence[str]) -> bytes:
    """A PDF of pages given as content streams."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for page in pages:
        content = page.encode("cp1252")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    body = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, table, len(objects) + 1, len(body))
    )


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)


_ESCAPED = str.maketrans({"(": "\\(", ")": "\\)", "\\": "\\\\"})
