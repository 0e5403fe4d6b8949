"""Span reader: the exact words of the passages that answer, with a calibrated confidence and a null.

All hits are read together and normalised together (see ``ragqa.spans``), the score of the retrieval is added with
a weight learned on held-out questions, and below the operating point the answer is None. A question in Han
characters, which the shipped model cannot read, is answered by the best sentence, found by its terms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ragqa import pretrained
from ragqa.errors import ConfigError
from ragqa.quoting import Choice, lexical_choice, span_choice
from ragqa.sentences import sentence_around
from ragqa.span_network import SpanNetwork
from ragqa.spans import Reading
from ragqa.types import Answer, Citation, Hit, Query, Supported

MAX_ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Candidate:
    """What would be answered if nothing were refused, how sure that is, and the least confidence of an answer."""

    choice: Choice
    confidence: float
    threshold: float


class ExtractiveReader:
    """Reads spans with a fine-tuned span model served by the fastest runtime of this machine.

    Args:
        model: "builtin", a folder that ``ragqa finetune reader`` wrote, or a question-answering model as
            transformers saves it, which is taken to read every language it is asked in; of ours the vocabulary
            tells whether it reads Chinese.
        precision, device: see ``ragqa.devices``.
        max_answer_tokens: longest answer in tokens.
        retrieval_weight: weight of the retrieval score beside the log probability; None takes the model's own.
        threshold: least confidence of an answer; None takes the model's own operating point.

    Attributes:
        network: what says of passages where an answer may stand.
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
        weight = self._calibration.retrieval_weight
        self._retrieval_weight = weight if retrieval_weight is None else retrieval_weight
        self._threshold = threshold
        self.network = SpanNetwork(folder, precision, device, max_answer_tokens)

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, read from its hits, best hit first."""
        by_model = [row for row, query in enumerate(queries) if not self.is_lexical(query)]
        readings = dict(
            zip(
                by_model,
                self.network.readings([queries[r] for r in by_model], [hits[r] for r in by_model]),
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
        return not self.network.literacy.understands(query.text)

    def candidate(
        self, query: Query, hits: Sequence[Hit], reading: Reading | None, retrieval_weight: float
    ) -> Candidate | None:
        """The best answer in ``hits``, judged but not yet refused; None where there is none at all.

        Args:
            reading: of the same hits; not looked at for a query that ``is_lexical``.
        """
        lexical = self.is_lexical(query)
        choice = (
            lexical_choice(query, hits) if lexical else span_choice(query, hits, reading, retrieval_weight)
        )
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
