"""Presentations: a slide is a page with its title as heading; tables, charts and notes are read too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pptx import Presentation

from ragqa.archives import check_archive
from ragqa.manuscript import Manuscript
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".pptx", ".pptm")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document, a page for each slide, titled by its properties or its first slide."""
    check_archive(path, "PPTX")
    presentation = Presentation(str(path))
    manuscript = Manuscript()
    first = ""
    for slide in presentation.slides:
        manuscript.page()
        title = slide.shapes.title
        text = title.text_frame.text.strip() if title is not None and title.has_text_frame else ""
        first = first or text
        manuscript.heading(1, text)
        for shape in _shapes(slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                _write(shape, manuscript)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            notes = slide.notes_slide.notes_text_frame.text.strip()
            manuscript.paragraph(f"Notes: {notes}" if notes else "")
    yield manuscript.document(doc_id, path, _title(presentation) or first)


def _title(presentation: Any) -> str:
    try:
        title = str(presentation.core_properties.title or "").strip()
    except (ValueError, KeyError, AttributeError):  # a damaged properties part says nothing about the slides
        return ""
    return "" if title.lower() in ("powerpoint presentation", "presentation") else title


def _shapes(shapes: Any) -> Iterator[Any]:
    """Shapes in their order on the slide, those of groups in the place of the group."""
    stack = [iter(shapes)]
    while stack:
        shape = next(stack[-1], None)
        if shape is None:
            stack.pop()
        elif hasattr(shape, "shapes"):
            stack.append(iter(shape.shapes))
        else:
            yield shape


def _write(shape: Any, manuscript: Manuscript) -> None:
    if getattr(shape, "has_table", False):
        manuscript.table("", ([cell.text_frame.text for cell in row.cells] for row in shape.table.rows))
    elif getattr(shape, "has_chart", False):
        _write_chart(shape.chart, manuscript)
    elif shape.has_text_frame:
        paragraphs = [p.text.replace("\v", "\n") for p in shape.text_frame.paragraphs if p.text.strip()]
        if len(paragraphs) == 1:
            manuscript.paragraph(paragraphs[0])
        for text in paragraphs if len(paragraphs) > 1 else []:
            manuscript.item(text)


def _write_chart(chart: Any, manuscript: Manuscript) -> None:
    """The data of a chart as a table: one row for each category."""
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
    for plot in chart.plots:
        try:
            series = list(plot.series)
        except NotImplementedError:  # a kind of chart that the library cannot read
            continue
        columns = [[_number(v) for v in s.values] for s in series]
        rows = [
            [str(category), *(c[i] if i < len(c) else "" for c in columns)]
            for i, category in enumerate(plot.categories)
        ]
        manuscript.table(title, rows, ["", *(s.name or "" for s in series)])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"
