"""PDF files: text page by page, lines rejoined to sentences, ruled tables as rows, headings.

Headings are the bookmarks, or without any the lines that are set larger than the text.
"""

import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, PdfReadError, PyPdfError
from pypdf.generic import EncodedStreamObject

from ragqa.decoding import clean
from ragqa.errors import DocumentError
from ragqa.manuscript import Manuscript, join_lines
from ragqa.pdf_headings import Line, heading_level, heading_sizes
from ragqa.pdf_tables import Grid, has_rules, locate, ruled_tables
from ragqa.tables import is_caption, is_header
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".pdf",)

_WITHOUT_PASSWORD = "open it with its password and print it to a new PDF"
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]$")
_BULLET = re.compile(r"(?:[•‣▪●○◦–—*·]|\d{1,3}[.)]|\(?[a-z]\)|\[\d+\])\s+\S")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][\"'”’)\]）」』]*$")
_BROKEN_PAGE = (PyPdfError, KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError)
_EDGE_LINES = 2
_CAPTION_LINES = 3
_MIN_PAGES = 3


def load(path: Path, doc_id: str) -> Iterator[Document | DocumentError]:
    """One document with the place of each page, and a fault for each page that is damaged.

    Raises:
        DocumentError: encrypted, truncated, or without any text (scanned images).
    """
    with PdfReader(path) as reader:
        _decrypt(reader)
        try:
            pages = [_lines(page) for page in reader.pages]
        except FileNotDecryptedError as error:
            raise DocumentError("is encrypted", next_step=_WITHOUT_PASSWORD) from error
        if not any(pages):
            raise DocumentError(
                f"has {len(pages)} pages but no text: its pages are blank, damaged or images",
                next_step="if it is a scan, add a text layer (ocrmypdf IN.pdf OUT.pdf)",
            )
        ruled = [number for number, page in enumerate(reader.pages) if pages[number] and _has_rules(page)]
        manuscript, bookmarks = Manuscript(), list(_bookmarks(reader))
        sizes = {} if bookmarks else heading_sizes(pages)
        _Writer(manuscript, ruled_tables(path, ruled), sizes).write(pages)
        title = _title(reader)
        document = manuscript.document(doc_id, path, title)
        for place, level, text in bookmarks:
            manuscript.mark(_place(document, place, text), level, text)
        yield manuscript.document(doc_id, path, title)
        for number, page in enumerate(reader.pages, 1):
            if _is_damaged(page):
                yield DocumentError(
                    f"page {number} is damaged: text of it is missing",
                    next_step="print or save the PDF anew with the program that shows the page",
                )


def _decrypt(reader: PdfReader) -> None:
    if not reader.is_encrypted:
        return
    try:
        # Many files carry only an owner's password: the empty one opens them for reading.
        opened = reader.decrypt("")
    except DependencyError as error:
        raise DocumentError(
            "is encrypted with AES, which needs the package cryptography",
            next_step=f"pip install cryptography, or {_WITHOUT_PASSWORD}",
        ) from error
    if not opened:
        raise DocumentError(
            "is encrypted with a password", accepted="PDF that opens without one", next_step=_WITHOUT_PASSWORD
        )


def _lines(page: PageObject) -> list[Line]:
    """The non-blank lines of a page, with "" where the layout leaves a gap."""
    pieces: list[tuple[str, float]] = []

    def visit(text: str, outer: Sequence[float], inner: Sequence[float], _: Any, size: float) -> None:
        pieces.append((text, size * _scale(outer) * _scale(inner)))

    try:
        page.extract_text(visitor_text=visit)
    except (FileNotDecryptedError, DependencyError):
        raise
    except _BROKEN_PAGE:
        return []  # one broken page must not hide the others
    lines = list(_sized(pieces))
    return lines if any(line.text for line in lines) else []


def _scale(matrix: Sequence[float]) -> float:
    """How much a transformation [a b c d e f] enlarges: the root of its determinant."""
    return math.sqrt(abs(float(matrix[0]) * float(matrix[3]) - float(matrix[1]) * float(matrix[2])))


def _sized(pieces: Iterable[tuple[str, float]]) -> Iterator[Line]:
    """The text of all pieces as lines, each with the size of most of its letters, to half a point."""
    parts: list[str] = []
    sizes: Counter[float] = Counter()
    for piece, size in [*pieces, ("\n", 0.0)]:
        first, *others = clean(piece).split("\n")
        for text in (first, *(f"\n{other}" for other in others)):
            if text.startswith("\n"):
                line = " ".join("".join(parts).split())
                yield Line(line, max(sizes, key=lambda s: sizes[s]) if line and sizes else 0.0)
                parts.clear()
                sizes.clear()
            parts.append(text.removeprefix("\n"))
            sizes[round(2 * size) / 2] += sum(map(str.isalnum, text))


def _has_rules(page: PageObject) -> bool:
    try:
        content = page.get_contents()
        return content is not None and has_rules(content.get_data())
    except _BROKEN_PAGE:
        return False


def _is_damaged(page: PageObject) -> bool:
    """Whether content of a page does not decompress: pypdf then goes on with what it could read, without a word."""
    try:
        stored = page.get("/Contents")
        content = stored.get_object() if stored is not None else None
        streams = content if isinstance(content, list) else [content]
        for stream in streams:
            raw = stream.get_object() if stream is not None else None
            if isinstance(raw, EncodedStreamObject) and raw.get("/Filter") == "/FlateDecode":
                zlib.decompressobj().decompress(raw._data)
    except zlib.error as error:
        return "incorrect data check" not in str(error)  # a wrong checksum behind text that is all there
    except _BROKEN_PAGE:
        return True
    return False


class _Writer:
    """Puts pages into a manuscript; a table that goes on over a page keeps its header and caption."""

    def __init__(
        self, manuscript: Manuscript, tables: Mapping[int, Sequence[Grid]], sizes: Mapping[float, int]
    ) -> None:
        self._out, self._tables, self._sizes = manuscript, tables, sizes
        self._open: tuple[str, Sequence[str]] | None = (
            None  # caption and header of the table at the page's end
        )

    def write(self, pages: Sequence[Sequence[Line]]) -> None:
        repeated = _repeated_edges(pages)
        for number, page in enumerate(pages):
            self._out.page()
            lines = [
                line
                for i, line in enumerate(page)
                if not (_pattern(line.text) in repeated and (i < _EDGE_LINES or i >= len(page) - _EDGE_LINES))
            ]
            # A page that repeats itself entirely says it for a reason.
            self._page(lines if any(line.text for line in lines) else page, self._tables.get(number, ()))

    def _page(self, lines: Sequence[Line], grids: Sequence[Grid]) -> None:
        texts = [line.text for line in lines]
        placed = [(place, grid) for grid in grids if (place := locate(texts, grid))]
        at = 0
        for place, grid in sorted(placed, key=lambda both: both[0].start):
            if place.start < at:
                continue
            caption = _caption_start(texts[at : place.start]) + at
            self._text(lines[at:caption])
            self._table(grid, " ".join(texts[caption : place.start]))
            at = place.end
        self._text(lines[at:])

    def _text(self, lines: Sequence[Line]) -> None:
        """Headings, and the paragraphs between them; a heading over several lines is one."""
        for level, run in itertools.groupby(lines, key=lambda line: heading_level(line, self._sizes)):
            texts = [line.text for line in run]
            if level is not None:
                self._out.heading(level, join_lines(texts))
                self._open = None
                continue
            for text, is_item in paragraphs(texts):
                self._out.paragraph(text, "\n" if is_item else "\n\n")
                self._open = None

    def _table(self, grid: Grid, caption: str) -> None:
        if self._open and not caption.strip() and len(self._open[1]) == len(grid[0]):
            self._out.table(self._open[0], grid, self._open[1])
        else:
            self._out.table(caption, grid)
            self._open = (caption, grid[0]) if is_header(grid[0]) else None


def _caption_start(lines: Sequence[str]) -> int:
    """Where the caption begins that ends ``lines``; their number when none does."""
    filled = [place for place, line in enumerate(lines) if line]
    captions = (place for place in filled[-_CAPTION_LINES:] if is_caption(" ".join(lines[place:])))
    return next(captions, len(lines))


def _pattern(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def _repeated_edges(pages: Sequence[Sequence[Line]]) -> set[str]:
    """Running heads and feet: lines at the edge of most pages that differ in numbers only."""
    edges = [
        {_pattern(line.text) for line in (*page[:_EDGE_LINES], *page[-_EDGE_LINES:]) if line.text}
        for page in pages
    ]
    counts = Counter(line for edge in edges for line in edge)
    return {line for line, count in counts.items() if len(pages) >= _MIN_PAGES and count > 0.6 * len(pages)}


def paragraphs(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Wrapped lines as paragraphs, each with whether it is an item of a list.

    A line goes on in the next when it is nearly as long as the longest of the page, or when the next begins
    in lower case; a bullet, a gap or a short line ends a paragraph.
    """
    full = 0.75 * max((len(line) for line in lines), default=0)
    block: list[str] = []
    for line in lines:
        if block and not _goes_on(block[-1], line, full):
            yield _joined(block), _BULLET.match(block[0]) is not None
            block = []
        if line:
            block.append(line)
    if block:
        yield _joined(block), _BULLET.match(block[0]) is not None


def _goes_on(line: str, following: str, full: float) -> bool:
    if not following or _BULLET.match(following):
        return False
    if _HYPHEN.search(line) or following[0].islower():
        return True
    return len(line) >= full and (len(line) > 30 or not _SENTENCE_END.search(line))


def _joined(block: Sequence[str]) -> str:
    """Lines of a paragraph; a word that is hyphenated over two lines becomes whole again."""
    whole: list[str] = []
    for line in block:
        if whole and _HYPHEN.search(whole[-1]) and line[0].islower():
            head = whole.pop()
            line = head[:-1] + line
        whole.append(line)
    return join_lines(whole)


def _title(reader: PdfReader) -> str:
    try:
        title = reader.metadata.title if reader.metadata else None
    except (PyPdfError, ValueError, TypeError, AttributeError, KeyError):
        return ""
    text = " ".join(clean(title or "").split())
    # Programs leave their file's name or "untitled" behind.
    generic = re.search(r"\.\w{2,5}$|^untitled|^\(?anonymous|^microsoft word", text, re.IGNORECASE)
    return "" if generic else text


def _bookmarks(reader: PdfReader) -> Iterator[tuple[int, int, str]]:
    """Page (0-based), level and text of each bookmark; none where the outline is damaged."""
    try:
        stack: list[Iterator[Any]] = [iter(reader.outline)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif isinstance(entry, list):
                stack.append(iter(entry))
            else:
                page = reader.get_destination_page_number(entry)
                if page is not None and page >= 0 and entry.title:
                    yield page, len(stack), clean(str(entry.title))
    except (PdfReadError, PyPdfError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return


def _place(document: Document, page: int, text: str) -> int:
    """Where on its page the words of a bookmark stand; the start of the page when they are not found."""
    start = document.pages[page]
    end = document.pages[page + 1] if page + 1 < len(document.pages) else len(document.text)
    words = r"\s+".join(re.escape(word) for word in text.split())
    found = re.compile(words, re.IGNORECASE).search(document.text, start, end)
    return found.start() if found else start
