"""Ruled tables of a PDF: the cells from the lines drawn around them, the place from the words of the page.

pdfplumber finds the cells. Where the table stands among the page's lines of text is decided by its letters: a run of
lines that holds exactly the letters of the cells is the table. Anything else is left as the lines that it was,
so nothing is ever lost or said twice.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragqa.decoding import clean
from ragqa.manuscript import join_lines
from ragqa.types import Span

Grid = list[list[str]]
"""Rows of cells."""

MAX_PAGES = 300
"""Pages of one file that are searched for tables: at 0.05 s a page, 15 of the 60 seconds that a file may take."""

_RULE = re.compile(rb"(?<![\w.])(?:re|l)(?=\s)")
_LEAST_RULES = 4
_LONGEST_CELL = 5
"""Lines of text in a cell. Boxes with more are layout: forms, invoices, framed notes."""


def has_rules(content: bytes) -> bool:
    """Whether a page's content stream draws enough lines and rectangles for a table of two rows."""
    return len(_RULE.findall(content)) >= _LEAST_RULES


def ruled_tables(path: Path, pages: Sequence[int]) -> Mapping[int, list[Grid]]:
    """Page (0-based) → its tables from top to bottom, for the ``pages`` that have any.

    A page that pdfplumber cannot read has none: its text is known already, only the structure would be lost.
    """
    if not pages:
        return {}
    import pdfplumber  # half a second, for ruled pages only

    found: dict[int, list[Grid]] = {}
    asked = sorted(pages)[:MAX_PAGES]
    try:
        with pdfplumber.open(path, pages=[page + 1 for page in asked]) as source:
            for page in source.pages:
                grids = [_grid(table.extract()) for table in page.find_tables()]
                page.close()
                found[page.page_number - 1] = [grid for grid in grids if grid]
    except MemoryError:
        raise
    except Exception:  # its parser raises whatever a damaged file leads it to
        return found
    return {page: grids for page, grids in found.items() if grids}


def _grid(cells: Sequence[Sequence[str | None]]) -> Grid:
    """The cells as text, or nothing where the box is no table of rows."""
    texts = [[clean(cell or "").strip() for cell in row] for row in cells]
    if any(cell.count("\n") >= _LONGEST_CELL for row in texts for cell in row):
        return []
    if sum(sum(map(bool, row)) >= 2 for row in texts) < 2:
        return []
    return [[join_lines([line.strip() for line in cell.split("\n")]) for cell in row] for row in texts]


def locate(lines: Sequence[str], grid: Grid) -> Span | None:
    """The run of lines, half-open, that holds exactly the letters of ``grid``; None when there is none."""
    wanted = Counter(_letters("".join(cell for row in grid for cell in row)))
    letters = [_letters(line) for line in lines]
    for first in range(len(lines)):
        missing, last = wanted.total(), first
        while missing > 0 and last < len(lines):
            missing -= len(letters[last])
            last += 1
        if missing == 0 and letters[first] and Counter("".join(letters[first:last])) == wanted:
            return Span(first, last)
    return None


def _letters(text: str) -> str:
    """What both readers of a PDF agree on: no blanks, no hyphens at line ends, ligatures taken apart."""
    return re.sub(r"[\s\u00ad-]+", "", unicodedata.normalize("NFKC", text))
