"""Sentences of a text by offsets, and the sentence that best matches a query lexically; English and Chinese."""

import re
from collections.abc import Sequence
from math import log

from ragqa.analysis import terms
from ragqa.types import Citation, Hit, Span, passage_of

# A sentence ends after . ! ? (and closing quotes) before white space, after a Chinese full stop, or at a line end.
_END = re.compile(
    r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9\u00c0-\u00de])|(?<=[。！？；])[”’」』）]*|\n+"
)
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|al|Fig|Eq|No|Vol|pp|[A-Z])\.)$")


def sentences(text: str) -> list[Span]:
    """The sentences of ``text`` in order, without surrounding white space; together they hold all its words."""
    found: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        if "\n" not in match.group() and _ABBREVIATION.search(text, max(0, match.start() - 6), match.start()):
            continue
        found.append(Span(start, match.end()))
        start = match.end()
    found.append(Span(start, len(text)))
    return [s for s in (_stripped(text, s) for s in found) if s.end > s.start]


def _stripped(text: str, span: Span) -> Span:
    piece = text[span.start : span.end]
    lead = len(piece) - len(piece.lstrip())
    return Span(span.start + lead, span.start + max(lead, len(piece.rstrip())))


def sentence_around(text: str, span: Span) -> Span:
    """The sentence (or sentences) of ``text`` that ``span`` stands in."""
    touched = [s for s in sentences(text) if s.start < span.end and s.end > span.start]
    return Span(touched[0].start, touched[-1].end) if touched else span


def cited_sentence(citation: Citation, hits: Sequence[Hit]) -> str:
    """The sentence of a hit that a citation stands in; its quote where no hit holds it."""
    passage = passage_of(citation, hits)
    if passage is None:
        return citation.quote
    start, end = citation.start - passage.start, citation.end - passage.start
    around = sentence_around(passage.text, Span(start, end))
    return passage.text[around.start : around.end]


def term_weights(passages: Sequence[str]) -> dict[str, float]:
    """Inverse document frequency ln(1 + N / n) of each term over the given texts."""
    counts: dict[str, int] = {}
    for text in passages:
        for term in set(terms(text)):
            counts[term] = counts.get(term, 0) + 1
    return {term: log(1 + len(passages) / n) for term, n in counts.items()}


def coverage(query_terms: Sequence[str], text: str, weights: dict[str, float], unseen: float) -> float:
    """Share (0 to 1) of the query's distinct terms, weighted, that ``text`` holds; ``unseen`` weighs unknown terms."""
    wanted = set(query_terms)
    there = wanted & set(terms(text))
    total = sum(weights.get(t, unseen) for t in wanted)
    return sum(weights.get(t, unseen) for t in there) / total if total else 0.0
