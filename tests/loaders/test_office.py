"""DOCX, PPTX, XLSX and the container that they share with EPUB."""

import io
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import docx
import openpyxl
import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from ragqa.errors import DocumentError
from ragqa.loaders import load_document_file
from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
RowsOf = Callable[[Document], list[str]]


def _saved(thing: object) -> bytes:
    buffer = io.BytesIO()
    thing.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def _docx() -> bytes:
    source = docx.Document()
    source.add_paragraph("The report", style="Title")
    source.add_heading("Costs", 1)
    source.add_paragraph("You need:")
    source.add_paragraph("a CPU", style="List Bullet")
    source.add_paragraph("Table 2: Costs", style="Caption")
    table = source.add_table(rows=3, cols=2)
    for row, texts in zip(
        table.rows, [("Method", "Memory"), ("LoRA", "4 GB"), ("full", "16 GB")], strict=True
    ):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    source.add_heading("Time", 2)
    source.add_paragraph("An hour.")
    return _saved(source)


def test_docx_keeps_title_headings_lists_and_rows_in_order(read: Read, rows_of: RowsOf) -> None:
    document = read("a.docx", _docx())
    assert document.title == "The report"
    assert [(h.level, h.text) for h in document.headings] == [(1, "Costs"), (2, "Time")]
    assert "You need:\n- a CPU\n\nTable 2: Costs — Method: LoRA" in document.text
    assert rows_of(document)[1] == "Table 2: Costs — Method: full; Memory: 16 GB"
    assert document.text.endswith("Time\n\nAn hour.")


def test_docx_reads_insertions_and_content_controls_but_no_deletions(read: Read) -> None:
    data = _docx()
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    inserted = (
        f"<w:p {word}><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>deleted</w:delText>"
        f"</w:r></w:del></w:p><w:sdt {word}><w:sdtContent><w:p><w:r><w:t>controlled</w:t></w:r></w:p>"
        "</w:sdtContent></w:sdt>"
    )
    text = read(
        "a.docx", _edited(data, "word/document.xml", b"<w:sectPr", inserted.encode() + b"<w:sectPr")
    ).text
    assert "inserted" in text
    assert "controlled" in text
    assert "deleted" not in text


def _edited(data: bytes, name: str, old: bytes, new: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            target.writestr(member, content.replace(old, new, 1) if member == name else content)
    return buffer.getvalue()


def test_pptx_slides_are_pages_with_headings_tables_charts_and_notes(read: Read, rows_of: RowsOf) -> None:
    presentation = Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "Costs"
    first.placeholders[1].text = "cheap\nfast"
    first.notes_slide.notes_text_frame.text = "Say it slowly."
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Figures"
    table = second.shapes.add_table(2, 2, 0, 0, Inches(4), Inches(1)).table
    for place, text in enumerate(["Method", "Memory", "LoRA", "4 GB"]):
        table.cell(place // 2, place % 2).text = text
    data = CategoryChartData()
    data.categories = ["2023", "2024"]
    data.add_series("Users", (10, 25.5))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(4), Inches(3), data)
    document = read("deck.pptx", _saved(presentation))
    assert [h.text for h in document.headings] == ["Costs", "Figures"]
    assert document.text.startswith("Costs\n- cheap\n- fast\n\nNotes: Say it slowly.")
    assert [document.page_at(h.start) for h in document.headings] == [1, 2]
    assert [row.removeprefix("Users — ") for row in rows_of(document)] == [
        "Method: LoRA; Memory: 4 GB",
        "2023; Users: 10",
        "2024; Users: 25.5",
    ]


def test_xlsx_rows_carry_the_sheet_a_title_line_and_the_header(read: Read, rows_of: RowsOf) -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = "Costs"
    rows: list[list[str | float | date | None]] = [
        ["Report 2024"],
        [],
        [None, "Method", "Since"],
        [None, "LoRA", date(2021, 6, 17)],
        [None, "full", 0.1],
    ]
    for row in rows:
        sheet.append(row)
    workbook.create_sheet("Empty")
    workbook.create_sheet("Numbers").append([1, 2.5, True])
    document = read("a.xlsx", _saved(workbook))
    assert rows_of(document) == [
        "Costs Report 2024 — Method: LoRA; Since: 2021-06-17",
        "Costs Report 2024 — Method: full; Since: 0.1",
        "Numbers — 1; 2.5; yes",
    ]
    assert [h.text for h in document.headings] == ["Costs", "Empty", "Numbers"]


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.epub"])
def test_what_is_no_zip_file_is_refused_in_one_line(read: Read, name: str) -> None:
    with pytest.raises(DocumentError, match="is not a whole"):
        read(name, b"PK\x03\x04 and nothing more")
    with pytest.raises(DocumentError, match="encrypted or in the binary format"):
        read(name, bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600)


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.epub"])
def test_a_zip_of_something_else_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DocumentError) as caught:
        load_document_file(tmp_path / name, name)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(3):
            archive.writestr(f"word/media{place}.xml", b"\0" * (200 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DocumentError, match="zip bomb"):
        load_document_file(path, "bomb")
