"""Headings of a PDF without bookmarks: lines that are set larger than the text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_LARGER = 1.15
"""Times the size of the text; footnotes, quotes and rounding of sizes stay below it."""

_GREATEST_SHARE = 0.1
"""Of a document's letters in one size of headings: what is set in so much of it is text."""

_LONGEST = 120
_DEEPEST = 4


class Line(NamedTuple):
    """A line of a page and its size in points; 0 for a gap in the layout, whose text is ""."""

    text: str
    size: float


def heading_sizes(pages: Sequence[Sequence[Line]]) -> Mapping[float, int]:
    """Size → level, 1 for the largest; no size where everything is set alike."""
    letters: Counter[float] = Counter()
    for page in pages:
        for line in page:
            letters[line.size] += sum(map(str.isalpha, line.text))
    if not letters.total():
        return {}
    body = max(letters, key=lambda size: (letters[size], -size))
    larger = [
        size
        for size in sorted(letters, reverse=True)
        if size >= _LARGER * body and 0 < letters[size] <= _GREATEST_SHARE * letters.total()
    ]
    return {size: min(level, _DEEPEST) for level, size in enumerate(larger, 1)}


def heading_level(line: Line, sizes: Mapping[float, int]) -> int | None:
    """The level of a heading, None for any other line: a figure, an initial, a sentence set large."""
    letters = sum(map(str.isalpha, line.text))
    if (
        len(line.text) > _LONGEST
        or letters < 2
        or 2 * letters < len(line.text)
        or line.text[-1] in ".,;。，；"
    ):
        return None
    return sizes.get(line.size)
