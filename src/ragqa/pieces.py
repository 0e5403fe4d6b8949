"""Text to passages of at most so many tokens of an encoder, whatever the text.

Tokens are first estimated from short stretches, each counted once; at the end the encoder counts every
passage, and what is still too long is halved.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragqa.cutting import BLOCK, CountStretch, blocks, joined, located, stripped
from ragqa.errors import PluginError
from ragqa.types import Document, Passage

CountTokens = Callable[[Sequence[str]], list[int]]

MIN_PASSAGE_TOKENS = 16
PATH_MARK = " › "

# A stretch that no separator below cuts: up to a blank, or to Chinese punctuation, which no blank follows.
_ATOM = re.compile(r"[^\s，。！？；：、…]+[，。！？；：、…]*|[，。！？；：、…]+")
_BLANKS = re.compile(r"\s+")
# A tokenizer may make a single unknown token of a "word" of millions of letters.
_CHARACTERS_PER_TOKEN = 12
_REMEMBERED = 200_000
_MAX_REMEMBERED_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Region:
    """Characters that share a title and may be cut into several passages.

    ``lead`` is where its headings end: they stay with what follows. ``later_title`` is the title of each
    passage after the first, where it differs.
    """

    start: int
    lead: int
    end: int
    title: str = ""
    later_title: str | None = None


class Cutter:
    """Cuts the regions of documents for one encoder."""

    def __init__(self, count_tokens: CountTokens, max_passage_tokens: int, overlap_words: int) -> None:
        if max_passage_tokens < MIN_PASSAGE_TOKENS:
            raise PluginError(
                f"splitters: max_passage_tokens is {max_passage_tokens}",
                accepted=f"{MIN_PASSAGE_TOKENS} or more",
            )
        if overlap_words < 0:
            raise PluginError(f"splitters: overlap_words is {overlap_words}", accepted="0 or more")
        self._count = count_tokens
        self._max_tokens = max_passage_tokens
        self._overlap_words = overlap_words
        self._special = count_tokens([""])[0]
        self._known: dict[str, int] = {}
        self._titles: dict[str, tuple[str, int]] = {}

    def passages(self, document: Document, regions: Sequence[Region]) -> list[Passage]:
        """Passages of every region, in order: all non-blank characters, never more tokens than allowed."""
        found: list[Passage] = []
        for group in _groups(document.text, regions):
            cost_of = self._costs(document.text, group)
            cuts = [cut for region in group for cut in self._cuts(document.text, region, cost_of)]
            found += self._checked(document, cuts)
        return found

    def _cuts(self, text: str, region: Region, cost_of: CountStretch) -> Iterator["_Cut"]:
        """Pieces of a region by the tokens of their stretches; the few still too long are found later."""
        title, title_cost = self._fitted(region.title)
        room = self._max_tokens - self._special - title_cost
        start, end = stripped(text, region.start, region.end)
        if cost_of(text[start:end]) <= room:
            if start < end:
                yield _Cut(start, end, title)
            return
        later, later_cost = (
            (title, title_cost) if region.later_title is None else self._fit(region.later_title)
        )
        room -= max(0, later_cost - title_cost)
        lead = cost_of(text[region.start : region.lead])
        body = region.lead if 2 * lead < room else region.start
        kept = min(room // 4, 2 * self._overlap_words) + (lead if body > region.start else 0)
        start, name = region.start, title
        for span in _spans(text, body, region.end, room - kept, cost_of):
            begun, end = stripped(text, min(start, span[0]), span[1])
            if begun < end:
                yield _Cut(self._overlapped(text, region.start, begun, end, room, cost_of), end, name)
                start, name = region.end, later

    def _costs(self, text: str, group: Sequence[Region]) -> CountStretch:
        """A function that counts the tokens of a stretch of ``group``; each atom is counted once."""
        known = self._known
        if len(known) > _REMEMBERED:
            known.clear()
        rare: dict[str, int] = {}
        atoms = {match.group() for match in _ATOM.finditer(text, group[0].start, group[-1].end)}
        new = [atom for atom in atoms if atom not in known]
        counts = (
            self._count([atom[: self._max_tokens * _CHARACTERS_PER_TOKEN] for atom in new]) if new else []
        )
        for atom, count in zip(new, counts, strict=True):
            least = -(-len(atom) // _CHARACTERS_PER_TOKEN)
            memory = known if len(atom) <= _MAX_REMEMBERED_LENGTH else rare
            memory[atom] = max(count - self._special, least, 1)

        def cost_of(stretch: str) -> int:
            tokens = sum(known[a] if a in known else rare.get(a, len(a)) for a in _ATOM.findall(stretch))
            return max(tokens, -(-len(stretch) // (_CHARACTERS_PER_TOKEN * 2)))

        return cost_of

    def _fitted(self, title: str) -> tuple[str, int]:
        """``title`` cut from the left to a third of the passage, and its tokens."""
        if title not in self._titles:
            if len(self._titles) > _REMEMBERED:
                self._titles.clear()
            self._titles[title] = self._fit(title)
        return self._titles[title]

    def _fit(self, title: str) -> tuple[str, int]:
        allowed = self._max_tokens // 3
        candidate = title[-allowed * _CHARACTERS_PER_TOKEN :]
        while candidate:
            cost = self._count([candidate])[0] - self._special
            if cost <= allowed:
                return candidate, cost
            if PATH_MARK in candidate:
                candidate = candidate.partition(PATH_MARK)[2]
            elif _BLANKS.search(candidate):
                candidate = _BLANKS.split(candidate, maxsplit=1)[1]
            else:
                candidate = candidate[len(candidate) // 2 + 1 :]
        return "", 0

    def _overlapped(
        self, text: str, first: int, start: int, end: int, room: int, cost_of: CountStretch
    ) -> int:
        """``start`` moved left by up to ``overlap_words`` words, as far as region and budget allow."""
        if not self._overlap_words or start == first:
            return start
        left = room - cost_of(text[start:end])
        window = max(first, start - self._overlap_words * 24)
        for word in reversed(list(_ATOM.finditer(text, window, start))[-self._overlap_words :]):
            if word.start() == window > first:  # perhaps the tail of a longer word
                break
            left -= cost_of(word.group())
            if left < 0:
                break
            start = word.start()
        return start

    def _checked(self, document: Document, cuts: Sequence["_Cut"]) -> list[Passage]:
        """The passages of ``cuts``, halved until the encoder itself counts no more tokens than allowed."""
        done: list[Passage] = []
        waiting = [part for cut in cuts for part in self._sliced(document.text, cut)]
        while waiting:
            passages = [_passage(document, cut) for cut in waiting]
            counts = self._count([p.titled_text for p in passages])
            again: list[_Cut] = []
            for cut, passage, count in zip(waiting, passages, counts, strict=True):
                if count <= self._max_tokens or cut.end - cut.start == 1:
                    done.append(passage)
                else:
                    again += _halves(document.text, cut)
            waiting = again
        return sorted(done, key=lambda p: (p.start, p.end))

    def _sliced(self, text: str, cut: "_Cut") -> list["_Cut"]:
        """A cut that holds a word of absurd length in slices; tokenizers take long over such words."""
        if cut.end - cut.start <= self._max_tokens * _CHARACTERS_PER_TOKEN * 2:
            return [cut]
        return _parted(text, cut, [*range(cut.start, cut.end, self._max_tokens * 4), cut.end])


@dataclass(frozen=True, slots=True)
class _Cut:
    start: int
    end: int
    title: str


def _halves(text: str, cut: _Cut) -> list[_Cut]:
    """A cut in two, at a blank near the middle if there is one."""
    length = cut.end - cut.start
    middle = cut.start + length // 2
    blank = text.rfind(" ", cut.start + length // 4, middle) + 1
    return _parted(text, cut, [cut.start, blank or middle, cut.end])


def _parted(text: str, cut: _Cut, places: Sequence[int]) -> list[_Cut]:
    spans = (stripped(text, *span) for span in pairwise(places))
    return [_Cut(start, end, cut.title) for start, end in spans if start < end]


def _passage(document: Document, cut: _Cut) -> Passage:
    return Passage(document.id, cut.start, cut.end, document.text[cut.start : cut.end], cut.title)


def _spans(text: str, start: int, end: int, room: int, cost_of: CountStretch) -> Iterator[tuple[int, int]]:
    """Neighbouring stretches of at most ``room`` tokens that make up the whole."""
    total = cost_of(text[start:end])
    if total <= room:
        yield start, end
        return
    # Even pieces: no scrap is left at the end of a section.
    even = -(-total // -(-total // room))
    yield from joined(
        text, located(text, start, end, min(room, even + even // 8 + 1), cost_of), room, cost_of
    )


def _groups(text: str, regions: Sequence[Region]) -> Iterator[Sequence[Region]]:
    """Regions in runs of about a block: one batch counts many, and none holds a large document."""
    group: list[Region] = []
    size = 0
    for region in regions:
        later = region.title if region.later_title is None else region.later_title
        for start, end in blocks(text, region.start, region.end):
            first = start == region.start
            lead = min(region.lead, end) if first else start
            group.append(Region(start, lead, end, region.title if first else later, region.later_title))
            size += end - start
            if size >= BLOCK:
                yield group
                group, size = [], 0
    if group:
        yield group
