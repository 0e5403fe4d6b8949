"""The regions of a document: between its headings, with every table row on its own."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from ragqa.pieces import PATH_MARK, Region
from ragqa.tables import row_key
from ragqa.types import Document, Heading, Span


def sections(document: Document) -> list[Region]:
    """Regions in reading order, each titled with the path of headings above it.

    A heading with nothing below it but a deeper heading or a table begins the region that follows: alone it
    would be a passage that answers nothing and yet matches every question with its words.
    """
    found: list[Region] = []
    bare: int | None = None
    bounds = list(_bounds(document))
    for place, (start, end, title, heading) in enumerate(bounds):
        lead = start if heading is None else _heading_end(document.text, heading, end)
        parts = list(_parts(document, lead, end, title))
        begin = start if bare is None else bare
        bare = None
        if parts:
            found.append(replace(parts[0], start=begin))
            found += parts[1:]
        elif _is_deeper(bounds, place):
            bare = begin
        else:
            found.append(Region(begin, begin, end, title))
    return found


def _heading_end(text: str, heading: Heading, end: int) -> int:
    """Where the words of a heading end in ``text``; its start, where they do not stand there."""
    words = heading.text.split()
    found = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE).match(text, heading.start, end)
    return found.end() if found else heading.start


def whole(document: Document) -> list[Region]:
    """Regions that ignore headings: the rows, and the text between them."""
    return list(_parts(document, 0, len(document.text), document.title))


_Bound = tuple[int, int, str, Heading | None]


def _bounds(document: Document) -> Iterator[_Bound]:
    """Start, end, title and heading of each section, the text before the first heading included."""
    headings = [h for h in document.headings if h.start < len(document.text)]
    first = headings[0].start if headings else len(document.text)
    if document.text[:first].strip():
        yield 0, first, document.title, None
    above: list[Heading] = []
    for heading, following in zip_longest(headings, headings[1:]):
        while above and above[-1].level >= heading.level:
            above.pop()
        above.append(heading)
        end = following.start if following is not None else len(document.text)
        yield heading.start, end, _path(document.title, above), heading


def _path(title: str, above: Sequence[Heading]) -> str:
    """Title and headings, outermost first; a heading that repeats the one before it is said once."""
    names: list[str] = []
    for name in (title, *(heading.text for heading in above)):
        if name and (not names or name.casefold() != names[-1].casefold()):
            names.append(name)
    return PATH_MARK.join(names)


def _is_deeper(bounds: Sequence[_Bound], place: int) -> bool:
    here = bounds[place][3]
    following = bounds[place + 1][3] if place + 1 < len(bounds) else None
    return here is not None and following is not None and following.level > here.level


def _parts(document: Document, start: int, end: int, title: str) -> Iterator[Region]:
    """The rows between ``start`` and ``end``, and the non-blank text before, between and after them."""
    text = document.text
    place = start
    for row in _rows(document.rows, start, end):
        if text[place : row.start].strip():
            yield Region(place, place, row.start, title)
        key = row_key(text[row.start : row.end])
        yield Region(row.start, row.start, row.end, title, PATH_MARK.join(filter(None, (title, key))))
        place = row.end
    if text[place:end].strip():
        yield Region(place, place, end, title)


def _rows(rows: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    first = bisect_left(rows, start, key=lambda row: row.start)
    return rows[first : bisect_left(rows, end, key=lambda row: row.start)]
