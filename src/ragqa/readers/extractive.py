"""Span reader: the exact words of the passages that answer, with a calibrated confidence and a null.

All hits are read together and normalised together (see ``ragqa.spans``), the score of the retrieval is added with
a weight learned on held-out questions, and below the operating point the answer is None. A question in Han
characters, which the shipped model cannot read, is answered by the best sentence, found by its terms.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ragqa import pretrained
from ragqa.analysis import is_han, terms
from ragqa.errors import ConfigError
from ragqa.runtimes import open_runtime
from ragqa.runtimes.batches import plan
from ragqa.sentences import coverage, sentence_around, sentences, term_weights
from ragqa.spans import Reading, SpanScore, best_spans
from ragqa.types import Answer, Citation, Hit, Passage, Query, Span, Supported
from ragqa.windows import TokenText, Window, Windower, lay_out, load_tokenizer, pad, stacked_rows

_STATEMENT_ENDS = frozenset("。.!！；;”』」）)…")
MAX_ANSWER_TOKENS = 256
_QUERIES_AT_ONCE = 64
"""Queries whose windows are batched together; bounds memory, whatever the number of queries."""

_PAIR = re.compile(r"[:：].*\S")  # a table row, "column: value"

_QUESTION_WORD = re.compile(
    "[谁誰哪几幾吗嗎]|多[少高大长長远遠久重快深]|[什甚怎][么麼]|怎[样樣]|[为為如]何|是否"
)

LEXICAL_NOTE = (
    "the shipped reader does not read Chinese: this is the sentence that shares most with the question"
)


_WindowScores = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Start scores, end scores and answerable positions of one window, each (L,)."""


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


@dataclass(frozen=True, slots=True)
class Candidate:
    """What would be answered if nothing were refused, how sure that is, and the least confidence of an answer."""

    choice: Choice
    confidence: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """All that the network says of one passage for one query, whatever else is read beside it."""

    windows: tuple[Window, ...]
    scores: tuple[_WindowScores, ...]
    text: TokenText

    @property
    def stacked(self) -> _WindowScores:
        """Start scores, end scores and answerable positions of its windows together, each (N, L)."""
        start, end, answerable = (stacked_rows([row[part] for row in self.scores]) for part in range(3))
        return start, end, answerable


class ExtractiveReader:
    """Reads spans with a fine-tuned span model served by the fastest runtime of this machine.

    Args:
        model: "builtin", a folder that ``ragqa finetune reader`` wrote, or a question-answering model as
            transformers saves it, which is taken to read every language it is asked in.
        precision, device: see ``ragqa.devices``.
        max_answer_tokens: longest answer in tokens.
        retrieval_weight: weight of the retrieval score beside the log probability; None takes the model's own.
        threshold: least confidence of an answer; None takes the model's own operating point.
    """

    def __init__(
        self,
        *,
        model: str = "builtin",
        precision: str = "auto",
        device: str = "auto",
        max_answer_tokens: int = 30,
        retrieval_weight: float | None = None,
        threshold: float | None = None,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        if not 1 <= max_answer_tokens <= MAX_ANSWER_TOKENS:
            raise ConfigError(
                f"reader.max_answer_tokens = {max_answer_tokens}", accepted=f"1 to {MAX_ANSWER_TOKENS}"
            )
        if retrieval_weight is not None and not math.isfinite(retrieval_weight):
            raise ConfigError(f"reader.retrieval_weight = {retrieval_weight}", accepted="a finite number")
        folder = pretrained.reader_folder(model)
        self._calibration = pretrained.read_calibration(folder)
        self._reads_han = pretrained.is_huggingface(folder)
        self._max_answer_tokens = max_answer_tokens
        weight = self._calibration.retrieval_weight
        self._retrieval_weight = weight if retrieval_weight is None else retrieval_weight
        self._threshold = threshold
        self._runtime = open_runtime("span", folder, precision, device)
        self._tokenizer = load_tokenizer(pretrained.backbone_of(folder))
        self._windower = Windower.of(self._tokenizer)

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, read from its hits, best hit first."""
        by_model = [row for row, query in enumerate(queries) if not self.is_lexical(query)]
        readings = dict(
            zip(
                by_model,
                self.readings([queries[r] for r in by_model], [hits[r] for r in by_model]),
                strict=True,
            )
        )
        return [
            self._answer(query, mine, readings.get(row))
            for row, (query, mine) in enumerate(zip(queries, hits, strict=True))
        ]

    @property
    def retrieval_weight(self) -> float:
        """The weight of the retrieval score that answers are chosen with."""
        return self._retrieval_weight

    @property
    def threshold(self) -> float:
        """The least confidence of an answer of the span model."""
        return self._calibration.span.threshold if self._threshold is None else self._threshold

    def is_lexical(self, query: Query) -> bool:
        """Whether a query is answered by the best sentence, without the network."""
        return is_han(query.text) and not self._reads_han

    def candidate(
        self, query: Query, hits: Sequence[Hit], reading: Reading | None, retrieval_weight: float
    ) -> Candidate | None:
        """The best answer in ``hits``, judged but not yet refused; None where there is none at all.

        Args:
            reading: of the same hits; not looked at for a query that ``is_lexical``.
        """
        lexical = self.is_lexical(query)
        span_choice = None if lexical else _span_choice(query, hits, reading, retrieval_weight)
        choice = lexical_choice(query, hits) if lexical else span_choice
        if choice is None:
            return None
        calibration = self._calibration.lexical if lexical else self._calibration.span
        threshold = calibration.threshold if self._threshold is None else self._threshold
        return Candidate(choice, calibration.probability(choice.features), threshold)

    def _answer(self, query: Query, hits: Sequence[Hit], reading: Reading | None) -> Answer:
        found = self.candidate(query, hits, reading, self._retrieval_weight)
        if found is None:
            return Answer(None, 0.0, (), tuple(hits))
        choice, confidence, threshold = found.choice, found.confidence, found.threshold
        passage = hits[choice.hit].passage
        quote = passage.text[choice.span.start : choice.span.end]
        around = sentence_around(passage.text, choice.span)
        start = passage.start + choice.span.start
        citation = Citation(passage.doc_id, start, start + len(quote), quote)
        details: dict[str, Any] = {**choice.features, "threshold": threshold}
        if choice.is_sentence:
            details["unit"] = "sentence"
        given = confidence >= threshold
        return Answer(
            quote if given else None,
            confidence,
            (citation,) if given else (),
            tuple(hits),
            sentence=passage.text[around.start : around.end],
            note=choice.note,
            details=details,
            sentences=(Supported(0, len(quote), 1.0, (citation,)),) if given else (),
            candidate=quote,
        )

    @staticmethod
    def best(reading: Reading, hits: Sequence[Hit], weight: float) -> SpanScore:
        """The span with the greatest sum of log probability and weighted retrieval score."""
        return max(reading.spans, key=lambda span: combined(span, hits, weight))

    def readings(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Reading | None]:
        """For each query the spans of all its hits, scored together; None for a query without any hit.

        Windows of many queries share a batch, which changes a score by no more than the rounding of padded sums.
        """
        found: list[Reading | None] = []
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            few = slice(first, first + _QUERIES_AT_ONCE)
            found += map(
                self.together, self.scored(queries[few], [[h.passage for h in m] for m in hits[few]])
            )
        return found

    def scored(
        self, queries: Sequence[Query], passages: Sequence[Sequence[Passage]]
    ) -> list[list[ScoredPassage]]:
        """What the network says of each passage of each query; all windows are in memory at once."""
        asked = [
            lay_out(self._tokenizer, self._windower, query.text, mine)
            for query, mine in zip(queries, passages, strict=True)
        ]
        # A passage may be asked about twice, among others and alone, as an evaluation does: it is read once.
        rows_of: dict[tuple[bytes, int], int] = {}
        row_of = [
            rows_of.setdefault((window.ids.tobytes(), window.text_at), len(rows_of))
            for one in asked
            for window in one.windows
        ]
        windows = dict(zip(row_of, (window for one in asked for window in one.windows), strict=True))
        plans = plan([len(windows[row].ids) for row in range(len(windows))], self._runtime.batch_tokens)
        batches = [pad([windows[row] for row in rows], self._windower) for rows in plans]
        outputs = self._runtime.run([(ids, mask, kinds) for ids, mask, kinds, _ in batches])
        scores: dict[int, _WindowScores] = {}
        for rows, (start, end), (*_, answerable) in zip(plans, outputs, batches, strict=True):
            scores |= {row: (start[i], end[i], answerable[i]) for i, row in enumerate(rows)}
        first, found = 0, []
        for one in asked:
            windows_of: list[list[int]] = [[] for _ in one.texts]
            for row, owner in enumerate(one.owners):
                windows_of[owner].append(row)
            found.append(
                [
                    ScoredPassage(
                        tuple(one.windows[row] for row in mine),
                        tuple(scores[row_of[first + row]] for row in mine),
                        text,
                    )
                    for mine, text in zip(windows_of, one.texts, strict=True)
                ]
            )
            first += len(one.windows)
        return found

    def together(self, passages: Sequence[ScoredPassage]) -> Reading | None:
        """The spans of the passages of one query, normalised together; None where there is no passage."""
        if not passages:
            return None
        scores = [one for passage in passages for one in passage.scores]
        start, end, answerable = (stacked_rows([row[part] for row in scores]) for part in range(3))
        return best_spans(
            start,
            end,
            answerable,
            [window for passage in passages for window in passage.windows],
            [owner for owner, passage in enumerate(passages) for _ in passage.windows],
            [passage.text for passage in passages],
            max_answer_tokens=self._max_answer_tokens,
        )


def _span_choice(query: Query, hits: Sequence[Hit], reading: Reading | None, weight: float) -> Choice | None:
    if reading is None or not reading.spans:
        return None
    best = ExtractiveReader.best(reading, hits, weight)
    features = span_features(query, hits, reading, best, weight)
    return Choice(best.passage, Span(best.start, best.end), features)


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
