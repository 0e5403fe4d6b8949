"""Which words of the hits are quoted, and the features that tell a right choice from a wrong one.

A span that the network found, its retrieval score added; for Han questions, which the shipped network does not read,
the statement that holds most of their terms.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragqa.analysis import terms
from ragqa.sentences import coverage, sentences, term_weights
from ragqa.spans import Reading, SpanScore
from ragqa.types import Hit, Query, Span

_STATEMENT_ENDS = frozenset("。.!！；;”』」）)…")
_PAIR = re.compile(r"[:：].*\S")  # a table row, "column: value"

_QUESTION_WORD = re.compile(
    "[谁誰哪几幾吗嗎]|多[少高大长長远遠久重快深]|[什甚怎][么麼]|怎[样樣]|[为為如]何|是否"
)

LEXICAL_NOTE = (
    "the shipped reader does not read Chinese: this is the sentence that shares most with the question"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer before it is judged: where it stands, the features that judge it, and what to tell.

    ``is_sentence``: a whole sentence, not the words asked for.
    """

    hit: int
    span: Span
    features: dict[str, float]
    is_sentence: bool = False
    note: str = ""


def span_choice(query: Query, hits: Sequence[Hit], reading: Reading | None, weight: float) -> Choice | None:
    """The best span of a reading; None where there is none."""
    if reading is None or not reading.spans:
        return None
    best = chosen_span(reading, hits, weight)
    features = span_features(query, hits, reading, best, weight)
    return Choice(best.passage, Span(best.start, best.end), features)


def chosen_span(reading: Reading, hits: Sequence[Hit], weight: float) -> SpanScore:
    """The span with the greatest sum of log probability and weighted retrieval score."""
    return max(reading.spans, key=lambda span: combined(span, hits, weight))


def combined(span: SpanScore, hits: Sequence[Hit], weight: float) -> float:
    """ln P(span) plus the weighted retrieval score of its hit."""
    return span.log_probability + weight * hits[span.passage].fused


def span_features(
    query: Query, hits: Sequence[Hit], reading: Reading, best: SpanScore, weight: float
) -> dict[str, float]:
    """What tells a right answer from a wrong one: the reader's and the retrievers' own evidence."""
    hit = hits[best.passage]
    answer = hit.passage.text[best.start : best.end].casefold()
    others = [
        combined(s, hits, weight)
        for s in reading.spans
        if hits[s.passage].passage.text[s.start : s.end].casefold() != answer
    ]
    texts = [h.passage.titled_text for h in hits]
    wanted = terms(query.text)
    weights = term_weights(texts)
    return {
        "log_probability": best.log_probability,
        "null_margin": best.log_probability - reading.null,
        "lead": combined(best, hits, weight) - max(others, default=-30.0),
        "cosine": hit.legs.get("dense", 0.0),
        "coverage": coverage(wanted, hit.passage.titled_text, weights, unseen=1.0),
        "fused": hit.fused,
    }


def lexical_choice(query: Query, hits: Sequence[Hit]) -> Choice | None:
    """The sentence among the hits that holds most of the query's terms, by weight; earlier hits win ties."""
    wanted = terms(query.text)
    texts = [hit.passage.text for hit in hits]
    weights = term_weights([text[s.start : s.end] for text in texts for s in sentences(text)])
    best: tuple[float, int, Span] | None = None
    runner_up = 0.0
    for number, text in enumerate(texts):
        for span in _statements(text, query.text):
            share = coverage(wanted, text[span.start : span.end], weights, unseen=3.0)
            score = share + 0.2 * hits[number].fused
            if best is None or score > best[0]:
                runner_up = best[0] if best else 0.0
                best = (score, number, span)
            else:
                runner_up = max(runner_up, score)
    if best is None:
        return None
    score, number, span = best
    hit = hits[number]
    sentence = hit.passage.text[span.start : span.end]
    features = {
        "sentence_coverage": coverage(wanted, sentence, weights, unseen=3.0),
        "coverage": coverage(wanted, hit.passage.titled_text, weights, unseen=3.0),
        "lead": score - runner_up,
        "bm25": hit.legs.get("bm25", 0.0) / max(1, len(set(wanted))),
    }
    return Choice(number, span, features, is_sentence=True, note=LEXICAL_NOTE)


def _statements(text: str, query: str) -> list[Span]:
    """The sentences of ``text`` that state something: headings and questions repeat the query, and answer nothing.

    Nor does a sentence that holds the whole question, its question word included, where an answer has the answer in
    that word's place: it tells of somebody who asked. In a row of "question: …; answer: …" both may stand.
    """
    spans = sentences(text)
    rows = {s for s in spans if _PAIR.search(text, s.start, s.end)}
    stating = [s for s in spans if text[s.end - 1] in _STATEMENT_ENDS or s in rows]
    asked = _letters(query) if _QUESTION_WORD.search(query) else ""
    telling = [s for s in stating if not asked or s in rows or asked not in _letters(text[s.start : s.end])]
    return telling or stating or spans


def _letters(text: str) -> str:
    """The letters and digits of ``text`` alone."""
    return "".join(filter(str.isalnum, text.casefold()))
