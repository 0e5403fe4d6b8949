"""Workbooks: every line of a sheet is a row that carries the sheet's name and the names of its columns."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import openpyxl

from ragqa.archives import check_archive
from ragqa.manuscript import Manuscript
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".xlsx", ".xlsm")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document; each sheet is a section. Formulas give the value that was stored with them."""
    check_archive(path, "XLSX")
    manuscript = Manuscript()
    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        for sheet in workbook.worksheets:
            manuscript.heading(1, sheet.title)
            sheet.reset_dimensions()  # what a file says about its size is often wrong
            rows = ([_shown(value) for value in row] for row in sheet.iter_rows(values_only=True))
            manuscript.table(sheet.title, rows)
        title = str(workbook.properties.title or "")
    finally:
        workbook.close()
    yield manuscript.document(doc_id, path, title)


def _shown(value: object) -> str:
    """A cell as a reader of the sheet would write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value).strip()
