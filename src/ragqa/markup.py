"""HTML and XHTML to a manuscript, as a stream of tags: no tree is built, so no depth of nesting can hurt."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lxml import etree

from ragqa.decoding import looks_chinese
from ragqa.errors import DocumentError
from ragqa.manuscript import Manuscript

_DROPPED = frozenset(("script", "style", "nav", "noscript", "template", "svg", "iframe", "object", "select"))
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure "
        "footer form header hr html legend main menu ol p section summary tbody tfoot thead ul",
    )
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# An XHTML page may close these at once; an HTML parser would swallow the rest of the page as their content.
_SELF_CLOSED = re.compile(
    rb"<(script|style|title|iframe|textarea|template|noscript)\b([^<>]*)/>", re.IGNORECASE
)
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.\-]+)""", re.IGNORECASE)
# Browsers read Latin-1 as Windows-1252 and the Chinese charsets as their superset.
_WIDER = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BREAK = "\0"
_MAX_SPAN = 100


def write_html(data: bytes, manuscript: Manuscript) -> str:
    """Add the visible text of an HTML or XHTML page to ``manuscript``; returns its title ("" without one)."""
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DocumentError(
            "holds binary data, not HTML", next_step="give the file the suffix of its real format"
        )
    page = _SELF_CLOSED.sub(rb"<\1\2></\1>", _decode(data).encode("utf-8", "replace"))
    if not page.strip():
        return ""
    # The stubs ask for methods that lxml itself does not: comments are simply not wanted.
    target: Any = _Page(manuscript)
    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True, no_network=True)
    return cast(str, etree.fromstring(page, parser))


def _decode(data: bytes) -> str:
    """By byte order mark, declared charset, UTF-8, plainly Chinese GB18030, else the web's default."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace")
    declared = _CHARSET.search(data[:4096])
    names = [declared.group(1).decode("ascii").lower()] if declared else []
    for name in [*names, "utf-8"]:
        try:
            return data.decode(_WIDER.get(name, name))
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode("gb18030" if looks_chinese(data) else "cp1252", "replace")


@dataclass
class _Cell:
    text: list[str] = field(default_factory=list)
    is_header: bool = False
    columns: int = 1
    rows: int = 1


@dataclass
class _Table:
    """A table being read; ``layout`` once another table is found inside it: then its cells are plain text."""

    caption: list[str] = field(default_factory=list)
    rows: list[list[_Cell]] = field(default_factory=list)
    cell: _Cell | None = None
    in_caption: bool = False
    layout: bool = False

    def grid(self) -> tuple[list[list[str]], int]:
        """Rows of text with spans resolved, and how many of them at the top are headers.

        A header's name stands over all its columns, and a cell's value in all its rows; a value that spans
        columns is said once.
        """
        lines: list[list[str]] = []
        headers = 0
        above: dict[int, tuple[int, str]] = {}  # column → rows that its value still fills, value
        for row in self.rows:
            is_header = bool(row) and all(cell.is_header for cell in row)
            headers += is_header and headers == len(lines)
            line, above = _line(row, is_header, above)
            lines.append(line)
        return lines, headers


def _line(
    row: Sequence[_Cell], is_header: bool, above: Mapping[int, tuple[int, str]]
) -> tuple[list[str], dict[int, tuple[int, str]]]:
    """The texts of a row, and what it leaves to the rows below."""
    line: list[str] = []
    below: dict[int, tuple[int, str]] = {}

    def put(text: str, rows: int) -> None:
        if rows > 1:
            below[len(line)] = (rows - 1, text)
        line.append(text)

    for cell in [*row, None]:
        while len(line) in above:
            rows, text = above[len(line)]
            put(text, rows)
        for column in range(cell.columns if cell is not None else 0):
            put(
                " ".join(cell.text) if cell is not None and (column == 0 or is_header) else "",
                cell.rows if cell else 1,
            )
    return line, below


class _Page:
    """Target of lxml's parser: start, data and end in document order."""

    def __init__(self, manuscript: Manuscript) -> None:
        self._out = manuscript
        self._text: list[str] = []
        self._title: list[str] = []
        self._in_title = False
        self._hidden = 0
        self._pre = 0
        self._heading = 0
        self._counters: list[int | None] = []  # one for each open list; None counts nothing
        self._mark = ""
        self._tables: list[_Table] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._hidden or tag in _DROPPED or _is_hidden(attributes):
            self._hidden += 1
        elif tag == "title":
            self._in_title = True
        elif tag == "br":
            self._text.append(_BREAK)
        elif tag in _HEADINGS or tag in _BLOCKS or tag in ("li", "pre", "table", "caption", "tr", "td", "th"):
            self._flush()
            self._open(tag, attributes)

    def _open(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag == "pre":
            self._pre += 1
        elif tag in ("ul", "ol", "menu"):
            self._counters.append(_count(attributes.get("start"), 1) if tag == "ol" else None)
        elif tag == "li":
            self._mark = self._next_mark()
        elif tag == "table":
            if self._tables and not self._tables[-1].layout:
                self._dissolve(self._tables[-1])
            self._tables.append(_Table())
        elif self._tables and not self._tables[-1].layout:
            self._open_in_table(self._tables[-1], tag, attributes)

    def _open_in_table(self, table: _Table, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "caption":
            table.in_caption = True
        elif tag == "tr":
            table.rows.append([])
        elif tag in ("td", "th"):
            columns, rows = (_count(attributes.get(name), 1) for name in ("colspan", "rowspan"))
            table.cell = _Cell(is_header=tag == "th", columns=columns, rows=rows)
            if not table.rows:
                table.rows.append([])
            table.rows[-1].append(table.cell)

    def end(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
        elif tag == "title":
            self._in_title = False
        elif tag in _HEADINGS or tag in _BLOCKS or tag in ("li", "pre", "table", "caption", "tr", "td", "th"):
            self._flush()
            self._close(tag)

    def _close(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._heading = 0
        elif tag == "pre":
            self._pre = max(0, self._pre - 1)
        elif tag in ("ul", "ol", "menu") and self._counters:
            self._counters.pop()
        elif tag == "li":
            self._mark = ""
        elif tag == "table" and self._tables:
            table = self._tables.pop()
            if not table.layout:
                self._write_table(table)
        elif self._tables and tag == "caption":
            self._tables[-1].in_caption = False
        elif self._tables and tag in ("td", "th"):
            self._tables[-1].cell = None

    def data(self, data: str) -> None:
        if self._in_title and not self._hidden:
            self._title.append(data)
        elif not self._hidden:
            self._text.append(data)

    def close(self) -> str:
        self._flush()
        for table in self._tables:
            if not table.layout:
                self._write_table(table)
        return " ".join("".join(self._title).split())

    def _flush(self) -> None:
        """Send the text read since the last boundary to where it belongs."""
        if not self._text:
            return
        raw = "".join(self._text)
        self._text.clear()
        text = raw.replace(_BREAK, "\n").strip("\n") if self._pre else _collapse(raw)
        if not text.strip():
            return
        table = self._tables[-1] if self._tables else None
        if table is not None and not table.layout and table.in_caption:
            table.caption.append(text)
        elif table is not None and not table.layout and table.cell is not None:
            table.cell.text.append(text)
        elif self._heading:
            self._out.heading(self._heading, text)
        elif self._mark:
            self._out.item(text, self._mark)
            self._mark = ""
        else:
            self._out.paragraph(text, "\n" if self._counters else "\n\n")

    def _next_mark(self) -> str:
        number = self._counters[-1] if self._counters else None
        if number is None:
            return "- "
        self._counters[-1] = number + 1
        return f"{number}. "

    def _write_table(self, table: _Table) -> None:
        lines, headers = table.grid()
        if max((len(line) for line in lines), default=0) < 2:
            self._dissolve(table)
            return
        header = _stacked(lines[:headers]) if headers else None
        self._out.table(" ".join(table.caption), lines[headers:], header)

    def _dissolve(self, table: _Table) -> None:
        """Write the cells so far as paragraphs: the table only places things on the page."""
        table.layout = True
        for text in [" ".join(table.caption), *(" ".join(c.text) for row in table.rows for c in row)]:
            self._out.paragraph(text)


def _stacked(headers: Sequence[Sequence[str]]) -> list[str]:
    """The names of the columns under one or more header rows, the upper name first."""
    width = max(len(line) for line in headers)
    columns = ([line[i] for line in headers if i < len(line)] for i in range(width))
    return [" ".join(dict.fromkeys(filter(None, column))) for column in columns]


def _collapse(raw: str) -> str:
    lines = (" ".join(line.split()) for line in raw.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN_STYLE.search(attributes.get("style", "")) is not None
    )


def _count(value: str | None, default: int) -> int:
    return min(max(int(value), 1), _MAX_SPAN) if value and value.isascii() and value.isdigit() else default
