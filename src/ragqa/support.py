"""What bears a written answer out: each of its sentences aligned with the passages that were read.

A sentence stands where a passage holds its very words, or where one sentence of the passages, or two together, say
what it says: most of its terms by weight, all of its numbers and names, and the same negations (``ragqa.facts``). No
overlap makes up for another number, another name or a missing "not".
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import fsum, log

from ragqa.facts import Facts, Wording, facts, is_negated_before, wording
from ragqa.sentences import sentences
from ragqa.types import Citation, Passage, Span, Supported

LEAST_SUPPORT = 0.6
"""Share of a sentence's terms, by weight, that the passages must hold to bear it out."""

_LEAST_GAIN = 0.1  # what a second sentence must add
_PAIRED = 8  # sentences that are tried in pairs
_CLAUSE = 3  # terms from which on words are a statement, which a negation around them takes back

_REPLIES = frozenset(("yes", "no", "not", "true", "false", "是", "是的", "不是", "否", "不", "对", "没有"))
"""Answers that are no words of a passage, though every passage has them."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A sentence of a passage; ``title`` are the terms of the headings above it."""

    passage: Passage
    span: Span
    facts: Facts
    title: Counter[str]

    def citation(self, span: Span | None = None) -> Citation:
        """Its words, or those at ``span`` of the passage's text."""
        start, end = (self.span.start, self.span.end) if span is None else (span.start, span.end)
        first = self.passage.start
        return Citation(self.passage.doc_id, first + start, first + end, self.passage.text[start:end])


def support(answer: str, passages: Sequence[Passage], question: str = "") -> tuple[Supported, ...]:
    """The sentences of ``answer``, each with what bears it out in ``passages``, best first.

    A score below ``LEAST_SUPPORT`` comes without citations. ``question`` chooses among several places that have the
    very words, and one that is negated itself may be answered out of a negated sentence.
    """
    known = wording(passage.text for passage in passages)
    ground = _Ground(passages, known)
    asked = facts(question, known)
    return tuple(
        Supported(span.start, span.end, *ground.support(answer[span.start : span.end], asked))
        for span in sentences(answer)
    )


def kept(answer: str, found: Sequence[Supported]) -> tuple[str, tuple[Supported, ...]]:
    """``answer`` without the sentences that nothing bears out, and the others at their new places."""
    text, moved = "", list[Supported]()
    for number, sentence in enumerate(found):
        if not sentence.citations:
            continue
        if text:
            text += answer[found[number - 1].end : sentence.start]
        start = len(text)
        text += answer[sentence.start : sentence.end]
        moved.append(replace(sentence, start=start, end=len(text)))
    return text, tuple(moved)


def cited(found: Sequence[Supported]) -> tuple[Citation, ...]:
    """All citations in order, each once."""
    return tuple(dict.fromkeys(citation for sentence in found for citation in sentence.citations))


class _Ground:
    """The sentences of some passages, ready to bear others out."""

    def __init__(self, passages: Sequence[Passage], known: Wording) -> None:
        self._known = known
        self._by_passage = [list(_evidence(passage, known)) for passage in passages]
        self._all = [one for mine in self._by_passage for one in mine]
        counts = Counter(term for one in self._all for term in one.facts.says)
        self._unseen = log(1 + len(self._all))
        self._weights = {term: log(1 + len(self._all) / n) for term, n in counts.items()}

    def support(self, text: str, asked: Facts) -> tuple[float, tuple[Citation, ...]]:
        """How well ``text`` is borne out, and by what."""
        said = facts(text, self._known)
        if not self._all or text.strip(" .!。！").casefold() in _REPLIES:
            return 0.0, ()
        words = self._words(text, said, asked)
        if words is not None:
            return 1.0, (words,)
        if not said.terms:
            return 0.0, ()
        score, group = self._aligned(said, asked)
        return score, tuple(one.citation() for one in group) if score >= LEAST_SUPPORT else ()

    def _words(self, text: str, said: Facts, asked: Facts) -> Citation | None:
        """The very words, where their sentence shares most with the question; of equal places the first."""
        # Function words alone are words only as a name: The Who.
        is_title = not said.terms and any(character.isupper() for character in text)
        pattern = _pattern(text, exact=is_title)
        if pattern is None or not (said.terms or is_title):
            return None
        best: tuple[float, Citation] | None = None
        for mine in filter(None, self._by_passage):
            for match in pattern.finditer(mine[0].passage.text):
                around = mine[bisect_right([one.span.start for one in mine], match.start()) - 1]
                if not asked.negated and _taken_back(match, said, around):
                    continue
                share = self._share(asked.terms, around.facts.says + around.title)
                if best is None or share > best[0]:
                    best = (share, around.citation(Span(match.start(), match.end())))
        return best and best[1]

    def _aligned(self, said: Facts, asked: Facts) -> tuple[float, tuple[_Evidence, ...]]:
        """The sentence, or the two, that say most of what is said and nothing else."""
        near = sorted(self._all, key=lambda one: -self._share(said.terms, one.facts.says))
        score, group = max(
            ((self._score(said, (one,), asked), (one,)) for one in self._all), key=lambda pair: pair[0]
        )
        pairs = ((self._score(said, pair, asked), pair) for pair in combinations(near[:_PAIRED], 2))
        # Of equal pairs the first, which begins with the sentence that says more.
        both, pair = max(pairs, key=lambda found: found[0], default=(0.0, ()))
        return (both, pair) if both >= score + _LEAST_GAIN else (score, group)

    def _score(self, said: Facts, group: Sequence[_Evidence], asked: Facts) -> float:
        """The share of what is said that ``group`` says, 0 where it says something else."""
        own = sum((one.facts.says for one in group), Counter[str]())
        # A sentence about something else by name neither takes its subject from another one nor from its heading.
        is_open = all(one.facts.leading <= said.terms.keys() for one in group)
        if len(group) > 1 and not (
            is_open and all(said.terms.keys() & one.facts.says.keys() - said.numbers for one in group)
        ):
            return 0.0  # a number alone ties no sentence to another
        held = sum((one.title for one in group), own) if is_open else own
        if not (said.names <= held.keys() and said.numbers <= own.keys()):
            return 0.0
        negated = [scope for one in group for scope in one.facts.negated]
        if not _agree(said, negated, asked) or self._share(said.terms, own) < LEAST_SUPPORT / 2:
            return 0.0
        return self._share(said.terms, held)

    def _share(self, wanted: Counter[str], held: Counter[str]) -> float:
        """How much of ``wanted`` is in ``held``, by weight; what is said again must be held again."""
        total = self._weight(wanted)
        return self._weight(wanted & held) / total if total else 0.0

    def _weight(self, some: Counter[str]) -> float:
        # fsum: the order of terms must not show in the last digit.
        return fsum(count * self._weights.get(term, self._unseen) for term, count in some.items())


def _evidence(passage: Passage, known: Wording) -> Iterator[_Evidence]:
    title = facts(passage.title, known).terms
    for span in sentences(passage.text):
        yield _Evidence(passage, span, facts(passage.text[span.start : span.end], known), title)


def _pattern(text: str, *, exact: bool) -> re.Pattern[str] | None:
    """Finds the words of ``text``, however they are spaced; never amid a word or a number.

    Args:
        exact: in these letters, large and small.
    """
    words = re.findall(r"\w+|[^\w\s]", text.rstrip(" .。"))
    if not any(word[0].isalnum() for word in words):
        return None
    inner = r"\s*".join(map(re.escape, words))
    before, after = _not_amid(words[0][0], before=True), _not_amid(words[-1][-1], before=False)
    return re.compile(before + inner + after, 0 if exact else re.IGNORECASE)


_NUMERAL = "〇零一二两三四五六七八九十百千万亿"


def _not_amid(edge: str, *, before: bool) -> str:
    """What may not stand beside the first or the last character of words that are looked for."""
    sign = "<!" if before else "!"
    ruled_out = []
    if edge.isascii() and edge.isalnum():
        ruled_out.append("[A-Za-z0-9]")  # spaces set words apart
    if edge.isdigit():
        ruled_out += [r"\d[.,]", r"[\s(][−-]"] if before else [r"[.,]\d"]
    if edge in _NUMERAL:
        ruled_out.append(f"[{_NUMERAL}]")
    return "".join(f"(?{sign}{one})" for one in ruled_out)


def _taken_back(match: re.Match[str], said: Facts, around: _Evidence) -> bool:
    """Whether words stand in a passage only to be denied."""
    if len(said.terms) < _CLAUSE:
        return is_negated_before(match.string, match.start())
    return not _agree(said, around.facts.negated, None)


def _agree(said: Facts, negated: Sequence[frozenset[str]], asked: Facts | None) -> bool:
    """Whether two sides deny the same: each negation of ``said`` has its own among ``negated``, and none of those
    denies what is said plainly.
    """
    free = list(negated)
    for scope in said.negated:
        mate = next((one for one in free if one & scope), None)
        if mate is None:
            return False
        free.remove(mate)
    if asked is not None and asked.negated:
        return True
    return all(
        any(scope & mine for mine in said.negated)
        for scope in negated
        if 2 * len(scope & said.terms.keys()) > len(scope)
    )
