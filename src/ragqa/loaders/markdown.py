"""Markdown: headings, lists, fences and pipe tables; marks of emphasis and addresses of links are dropped."""

import re
from collections.abc import Iterator
from pathlib import Path

from ragqa.decoding import read_text
from ragqa.manuscript import Manuscript, join_lines
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".md", ".markdown")

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(r"[ \t]*([-*+]|\d{1,9}[.)])[ \t]+(.*)$")
_DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_QUOTE = re.compile(r" {0,3}(?:>[ \t]?)+")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_CAPTION = re.compile(r"(?:table|tab\.|表)\s*\d*", re.IGNORECASE)

_LITERAL = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>])|(`+)(.+?)\2", re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_INLINE = (
    (re.compile(r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?:[^()]|\([^()]*\))*\)"), r"\1"),  # [text](address)
    (re.compile(r"!?\[([^\[\]]+)\]\[[^\[\]]*\]"), r"\1"),  # [text][name]
    (re.compile(r"<((?:https?|mailto):[^<>\s]+)>"), r"\1"),
    (re.compile(r"</?(?:a|b|br|code|div|em|i|img|kbd|p|span|strong|sub|sup|u|details|summary)\b[^<>]*>"), ""),
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)"), r"\1\2"),
    (
        re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)"),
        r"\1\2",
    ),
)
_MARKED = re.compile(r"[`*_\[<\\]")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document, titled by its front matter or its first heading of level 1."""
    text = _COMMENT.sub("", read_text(path))
    matter, body = _front_matter(text)
    manuscript = Manuscript()
    _Writer(manuscript).write(body)
    named = _TITLE.search(matter)
    title = named.group(1).strip("'\"") if named else manuscript.first_heading(1)
    yield manuscript.document(doc_id, path, title)


def _front_matter(text: str) -> tuple[str, str]:
    """The lines between ``---`` at the very top, and the rest."""
    if not text.startswith("---\n"):
        return "", text
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, 4)
    return (text[4 : end.start()], text[end.end() :]) if end else ("", text)


def inline(text: str) -> str:
    """A line without its marks; what stands in backticks is kept to the letter.

    >>> inline("Use **LoRA**, see [the page](x.md) and `a_b_c`.")
    'Use LoRA, see the page and a_b_c.'
    """
    if _MARKED.search(text) is None:
        return text
    codes: list[str] = []

    def hide(match: re.Match[str]) -> str:
        codes.append(match.group(1) or match.group(3).strip())
        return f"\0{len(codes) - 1}\0"

    text = _LITERAL.sub(hide, text)
    for pattern, kept in _INLINE:
        text = pattern.sub(kept, text)
    return re.sub("\0(\\d+)\0", lambda m: codes[int(m.group(1))], text)


class _Lines:
    """The lines of a text, one ahead; a list of them would take more memory than a large text itself."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self.following: str | None = None
        self.take()

    def take(self) -> str | None:
        """The next line, or None at the end."""
        line = self.following
        if self._place > len(self._text):
            self.following = None
        else:
            end = self._text.find("\n", self._place)
            end = len(self._text) if end < 0 else end
            self.following = self._text[self._place : end]
            self._place = end + 1
        return line


class _Writer:
    """Walks the lines once; ``_lines`` holds the paragraph or list item that is still open."""

    def __init__(self, manuscript: Manuscript) -> None:
        self._out = manuscript
        self._lines: list[str] = []
        self._mark = ""
        self._in_list = False

    def write(self, body: str) -> None:
        lines = _Lines(body)
        while (line := lines.take()) is not None:
            self._block(line, lines)
        self._end()

    def _block(self, line: str, lines: "_Lines") -> None:
        """Read the block that begins with ``line``."""
        if not line.strip():
            self._end()
            return
        if fence := _FENCE.match(line):
            self._fenced(fence.group(1), lines)
            return
        line = _QUOTE.sub("", line, count=1)
        if heading := _ATX.match(line):
            self._heading(len(heading.group(1)), heading.group(2) or "")
        elif self._lines and not self._mark and (underline := _UNDERLINE.match(line)):
            text = join_lines(self._lines)
            self._lines.clear()
            self._heading(1 if underline.group(1)[0] == "=" else 2, text)
        elif "|" in line and _is_delimiters(lines.following, line):
            self._table(line, lines)
        elif _RULE.match(line):
            self._end()
        elif item := _ITEM.match(line):
            self._end()
            mark, text = item.groups()
            self._mark, self._in_list = ("- " if mark in "-*+" else f"{mark} "), True
            self._lines.append(text.strip())
        else:
            if not line.startswith((" ", "\t")) and not self._lines:
                self._in_list = False
            self._lines.append(line.strip())

    def _heading(self, level: int, text: str) -> None:
        self._end()
        self._in_list = False
        self._out.heading(level, inline(text))

    def _end(self) -> None:
        """Write the open paragraph or item."""
        text = inline(join_lines(self._lines))
        self._lines.clear()
        if self._mark:
            self._out.item(text, self._mark)
            self._mark = ""
        else:
            # A paragraph that is indented under a list item belongs to the list.
            self._out.paragraph(text, "\n" if self._in_list else "\n\n")

    def _fenced(self, fence: str, lines: "_Lines") -> None:
        self._end()
        closing = re.compile(rf"[ \t]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
        code: list[str] = []
        while (line := lines.take()) is not None and not closing.match(line):
            code.append(line)
        self._out.paragraph("\n".join(code))

    def _table(self, header: str, lines: "_Lines") -> None:
        caption = self._caption()
        self._end()
        lines.take()
        rows: list[list[str]] = []
        while (line := lines.following) is not None and "|" in line and line.strip():
            rows.append([inline(cell) for cell in _cells(line)])
            lines.take()
        self._out.table(caption, rows, [inline(cell) for cell in _cells(header)])

    def _caption(self) -> str:
        """The open paragraph, when it directly precedes the table and is a caption."""
        text = inline(join_lines(self._lines))
        if self._mark or not _CAPTION.match(text) or len(text) > 200:
            return ""
        self._lines.clear()
        return text


def _is_delimiters(line: str | None, header: str) -> bool:
    return (
        line is not None and _DELIMITERS.match(line) is not None and len(_cells(line)) == len(_cells(header))
    )


def _cells(line: str) -> list[str]:
    """The cells of a pipe table's line; ``\\|`` and pipes in backticks separate nothing."""
    hidden = _CODE.sub(lambda m: m.group(0).replace("|", "\0"), line.strip()).replace("\\|", "\0")
    hidden = hidden.removeprefix("|").removesuffix("|")
    return [cell.replace("\0", "|").strip() for cell in hidden.split("|")]
