"""Table rows as lines that stand alone: caption and header travel with every row.

Table 2 Costs — Method: LoRA; Memory: 4 GB; Time: 3 h
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

CAPTION_MARK = " — "
CELL_MARK = "; "
_LOOK_AHEAD = 4

_CAPTION = re.compile(r"(?:table|tabelle|tableau|表)\s*\d*", re.IGNORECASE)
_LONGEST_CAPTION = 200
_NUMBER = re.compile(r"[\s\d.,:%/()+\-–−$€£¥]*\d[\s\d.,:%/()+\-–−$€£¥]*")


def row_line(caption: str, header: Sequence[str], cells: Sequence[str]) -> str:
    """One row as a line, or "" when no cell says anything.

    >>> row_line("Table 2 Costs", ["Method", "Memory"], ["LoRA", "4 GB"])
    'Table 2 Costs — Method: LoRA; Memory: 4 GB'
    """
    named = []
    for place, cell in enumerate(cells):
        value = flat(cell)
        name = flat(header[place]).rstrip(":：") if place < len(header) else ""
        if value:
            named.append(f"{name}: {value}" if name else value)
    if not named:
        return ""
    caption = flat(caption).rstrip(":：")
    return (caption + CAPTION_MARK if caption else "") + CELL_MARK.join(named)


def table_lines(
    caption: str, rows: Iterable[Sequence[str]], header: Sequence[str] | None = None
) -> Iterator[str]:
    """The lines of a table. Without ``header`` the first row is taken for one where it looks like one.

    A table that is nothing but a header becomes one line of its names.
    """
    filled = (row for row in rows if any(cell.strip() for cell in row))
    if header is None:
        top = list(islice(filled, _LOOK_AHEAD))
        titles = _titles(top)
        if titles:
            caption = " ".join([caption, *titles]).strip()
            top = top[len(titles) :]
        header = top.pop(0) if len(top) > 1 and is_header(top[0]) else ()
        filled = (row for row in chain(top, filled))
    spoken = False
    for row in filled:
        if not header or list(row) != list(header):  # long tables repeat their header
            spoken = True
            yield row_line(caption, header, row)
    if not spoken and any(name.strip() for name in header):
        yield row_line(caption, (), header)


def _titles(rows: Sequence[Sequence[str]]) -> list[str]:
    """The texts of single cells above a header: sheets are often titled so."""
    texts: list[str] = []
    for row in rows:
        filled = [flat(cell) for cell in row if cell.strip()]
        if len(filled) > 1:
            return texts if is_header(row) else []
        texts += filled
    return []


def is_header(cells: Sequence[str]) -> bool:
    """True for a row of names: at least two, all different, none a number."""
    texts = [flat(cell) for cell in cells if flat(cell)]
    return len(texts) >= 2 and len(set(texts)) == len(texts) and not any(_NUMBER.fullmatch(t) for t in texts)


def is_caption(text: str) -> bool:
    """True for a line that names a table: "Table 2: Costs"."""
    return len(text) <= _LONGEST_CAPTION and _CAPTION.match(text) is not None


def row_key(line: str) -> str:
    """Caption and first cell of a row's line: what the later pieces of a long row are called by.

    >>> row_key("Table 2 Costs — Method: LoRA; Memory: 4 GB")
    'Table 2 Costs — Method: LoRA'
    """
    return line.partition(CELL_MARK)[0]


def flat(cell: str) -> str:
    """A cell on one line, runs of blanks as one space."""
    return " ".join(cell.split())
