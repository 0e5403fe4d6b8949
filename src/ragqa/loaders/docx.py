"""Word documents: paragraphs, headings, lists, tables and footnotes in reading order."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docx
from docx.oxml.ns import qn

from ragqa.archives import check_archive
from ragqa.manuscript import Manuscript
from ragqa.tables import is_caption
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".docx", ".docm")

_FOOTNOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
_HEADING = re.compile(r"(?:heading|标题|überschrift|titre)\s*(\d)", re.IGNORECASE)
# Content controls, tracked insertions and the like wrap what they hold; deletions are not followed.
_WRAPPERS = {qn(f"w:{name}") for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")}
_TEXT = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_SKIPPED = {qn(f"w:{name}") for name in ("del", "moveFrom", "pPr", "rPr", "instrText")} | {
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
}


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document; its title is in a paragraph of that style, in its properties, or its first heading."""
    check_archive(path, "DOCX")
    source = docx.Document(str(path))
    manuscript = Manuscript()
    writer = _Writer(manuscript, _styles(source))
    writer.body(source.element.body)
    writer.footnotes(source.part)
    title = writer.title or _property(source, "title")
    yield manuscript.document(doc_id, path, title or writer.first_heading)


def _property(source: Any, name: str) -> str:
    try:
        return str(getattr(source.core_properties, name) or "")
    except (ValueError, KeyError, AttributeError):  # a damaged properties part says nothing about the text
        return ""


def _styles(source: Any) -> Mapping[str, str]:
    """Style id → "title", "list", a heading level "1" to "9", or ""; styles inherit from their base."""
    named: dict[str, tuple[str, str]] = {}
    for style in source.styles.element.iterfind(qn("w:style")):
        name = style.find(qn("w:name"))
        base = style.find(qn("w:basedOn"))
        outline = style.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        role = _role("" if name is None else name.get(qn("w:val"), ""))
        if not role and outline is not None and outline.get(qn("w:val"), "9") < "9":
            role = str(int(outline.get(qn("w:val"))) + 1)
        named[style.get(qn("w:styleId"), "")] = (role, "" if base is None else base.get(qn("w:val"), ""))
    return {key: _inherited(key, named) for key in named}


def _role(name: str) -> str:
    heading = _HEADING.match(name)
    if heading:
        return heading.group(1)
    lowered = name.lower()
    return "title" if lowered == "title" else "list" if lowered.startswith("list") else ""


def _inherited(key: str, named: Mapping[str, tuple[str, str]]) -> str:
    seen: set[str] = set()
    while key in named and key not in seen:
        seen.add(key)
        role, key = named[key]
        if role:
            return role
    return ""


class _Writer:
    """Puts the blocks of a body into a manuscript."""

    def __init__(self, manuscript: Manuscript, styles: Mapping[str, str]) -> None:
        self.title = ""
        self.first_heading = ""
        self._out = manuscript
        self._styles = styles
        self._caption = ""

    def body(self, container: Any) -> None:
        for block in _blocks(container):
            if block.tag == qn("w:tbl"):
                self._out.table(self._take_caption(), _grid(block))
            else:
                self._paragraph(block, _text(block).strip())
        self._out.paragraph(self._take_caption())

    def footnotes(self, part: Any) -> None:
        related = [r.target_part for r in part.rels.values() if r.reltype == _FOOTNOTES and not r.is_external]
        for footnotes in related:
            root = docx.oxml.parse_xml(footnotes.blob)
            for note in root.iterfind(qn("w:footnote")):
                self._out.paragraph(" ".join(_text(p) for p in note.iter(qn("w:p"))))

    def _paragraph(self, paragraph: Any, text: str) -> None:
        role = self._role(paragraph)
        if not text:
            return
        # A caption waits for its table; when something else comes first it was a paragraph.
        self._out.paragraph(self._take_caption())
        if role == "title" and not self.title:
            self.title = text
            self._out.paragraph(text)
        elif role.isdigit():
            self.first_heading = self.first_heading or text
            self._out.heading(int(role), text)
        elif role == "list":
            self._out.item(text)
        elif is_caption(text):
            self._caption = text
        else:
            self._out.paragraph(text)

    def _role(self, paragraph: Any) -> str:
        properties = paragraph.find(qn("w:pPr"))
        if properties is None:
            return ""
        outline, style = properties.find(qn("w:outlineLvl")), properties.find(qn("w:pStyle"))
        role = self._styles.get(style.get(qn("w:val"), ""), "") if style is not None else ""
        if not role and outline is not None and outline.get(qn("w:val"), "9") < "9":
            return str(int(outline.get(qn("w:val"))) + 1)
        return "list" if not role and properties.find(qn("w:numPr")) is not None else role

    def _take_caption(self) -> str:
        caption, self._caption = self._caption, ""
        return caption


def _blocks(container: Any) -> Iterator[Any]:
    """Paragraphs and tables directly in ``container`` or in wrappers, in document order."""
    stack = [iter(container)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag in (qn("w:p"), qn("w:tbl")):
            yield child
        elif child.tag in _WRAPPERS:
            stack.append(iter(child))


def _text(element: Any) -> str:
    """All visible text below ``element``, tracked insertions included, deletions left out."""
    parts: list[str] = []
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == qn("w:t"):
            parts.append(child.text or "")
        elif child.tag in _TEXT:
            parts.append(_TEXT[child.tag])
        elif child.tag not in _SKIPPED:
            if child.tag == qn("w:p"):  # a paragraph inside: a text box
                parts.append("\n")
            stack.append(iter(child))
    return "".join(parts)


def _grid(table: Any) -> Iterator[list[str]]:
    """Rows of cell texts; a vertically merged cell repeats the text of the cell it continues."""
    above: dict[int, str] = {}
    for row in (child for child in _rows(table)):
        line: list[str] = []
        for cell in row.iterfind(qn("w:tc")):
            text = " ".join(filter(None, (_text(block).strip() for block in _cell_blocks(cell))))
            merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
            if merge is not None and merge.get(qn("w:val")) != "restart":
                text = above.get(len(line), text)
            above[len(line)] = text
            span = cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}")
            width = span.get(qn("w:val"), "1") if span is not None else "1"
            line += [text, *[""] * (min(int(width), 100) - 1 if width.isdigit() else 0)]
        yield line


def _rows(table: Any) -> Iterator[Any]:
    for child in table:
        if child.tag == qn("w:tr"):
            yield child
        elif child.tag in _WRAPPERS:
            yield from child.iter(qn("w:tr"))


def _cell_blocks(cell: Any) -> Iterator[Any]:
    """The paragraphs of a cell; of a table inside it, those of its cells."""
    for block in _blocks(cell):
        if block.tag == qn("w:tbl"):
            yield from block.iter(qn("w:p"))
        else:
            yield block
