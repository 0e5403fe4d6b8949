"""What the reader would answer under other settings, without reading again.

What the network says of a passage does not depend on what is read beside it (``ScoredPassage``), so it sees each pair
of question and passage once. Which passages are read (fusion, ``top_k``), what their retrieval score weighs and how
sure an answer is are worked out from that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ragqa.config import FusionConfig
from ragqa.evaluation.answers import f1, is_right
from ragqa.evaluation.fusing import RankedLeg
from ragqa.gold import Located
from ragqa.hybrid import HybridSearch
from ragqa.pipeline import Pipeline
from ragqa.quoting import chosen_span
from ragqa.readers.extractive import Candidate, ExtractiveReader
from ragqa.span_network import ScoredPassage
from ragqa.spans import Reading
from ragqa.types import Hit, Query

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best answer to each question before any is refused, (N,) each.

    ``threshold`` is the least confidence of an answer under the present settings.
    """

    f1: Floats
    right: Flags
    confidence: Floats
    threshold: Floats
    answerable: Flags


class Replay:
    """Answers of an extractive reader to questions whose legs were searched, for any setting of fusion and reader."""

    def __init__(
        self,
        pipeline: Pipeline,
        asked: Sequence[Located],
        legs: Sequence[tuple[RankedLeg, RankedLeg]],
        deepest: int,
        progress: Callable[[int, int], None],
    ) -> None:
        """``deepest`` is the greatest ``top_k`` that will be asked for."""
        if not isinstance(pipeline.reader, ExtractiveReader):
            raise TypeError(f"{type(pipeline.reader).__name__} reads no spans")
        self._pipeline, self._asked, self._legs = pipeline, asked, legs
        self._reader, self._deepest, self._progress = pipeline.reader, deepest, progress
        self._queries = [one.example.query for one in asked]
        self._answerable = np.array([one.answerable for one in asked], dtype=bool)
        self._scored: dict[tuple[int, str], ScoredPassage] = {}
        self._hits: dict[FusionConfig, list[list[Hit]]] = {}
        self._f1 = cache(lambda number, text: f1(text, asked[number].example.answers))

    def f1s(self, fusion: FusionConfig, top_k: int, retrieval_weights: Sequence[float]) -> Floats:
        """F1 of the candidate of each question under each retrieval weight, (N, W); 0 where nothing answers."""
        found = np.zeros((len(self._asked), len(retrieval_weights)))
        hits = self.hits(fusion)
        for number in np.flatnonzero(self._answerable).tolist():
            mine = hits[number][:top_k]
            reading = self._reading(number, mine)  # not kept: those of all settings fill the memory
            for place, weight in enumerate(retrieval_weights):
                found[number, place] = self._score(number, mine, reading, weight)
        return found

    def candidates(self, fusion: FusionConfig, top_k: int, retrieval_weight: float) -> Candidates:
        """The candidate of each question, judged."""
        count = len(self._asked)
        scores, confidence, threshold = np.zeros(count), np.zeros(count), np.ones(count)
        right = np.zeros(count, dtype=bool)
        for number, (query, hits) in enumerate(zip(self._queries, self.hits(fusion), strict=True)):
            mine = hits[:top_k]
            found = self._reader.candidate(query, mine, self._reading(number, mine), retrieval_weight)
            if found is not None:
                confidence[number], threshold[number] = found.confidence, found.threshold
                scores[number] = self._f1_of(number, found, mine)
                right[number] = self._answerable[number] and is_right(
                    _text_of(found, mine),
                    self._asked[number].example.answers,
                    whole_sentence=found.choice.is_sentence,
                )
        return Candidates(scores, right, confidence, threshold, self._answerable)

    def hits(self, fusion: FusionConfig) -> list[list[Hit]]:
        """The hits of each question, reranked if the pipeline does that, as many as will ever be read."""
        if fusion not in self._hits:
            pipeline, retriever = self._pipeline, self._pipeline.retriever
            own = retriever.search
            search = HybridSearch(own.encoder, own.store, own.lexical, fusion, own.timings)
            wanted = max(self._deepest, pipeline.reranker.candidates)
            depth = search.depth(wanted)
            ranked = [
                search.fused(dense.first(depth).as_leg(), bm25.first(depth).as_leg(), wanted)
                for dense, bm25 in self._legs
            ]
            found = pipeline.rerank(self._queries, [retriever.hits(rows) for rows in ranked])
            self._hits[fusion] = [list(hits[: self._deepest]) for hits in found]
            self._read(self._hits[fusion])
        return self._hits[fusion]

    def _score(self, number: int, hits: Sequence[Hit], reading: Reading | None, weight: float) -> float:
        query = self._queries[number]
        if self._reader.is_lexical(query):
            found = self._reader.candidate(query, hits, None, weight)
            return 0.0 if found is None else self._f1_of(number, found, hits)
        if reading is None or not reading.spans:
            return 0.0
        best = chosen_span(reading, hits, weight)
        return self._f1(number, hits[best.passage].passage.text[best.start : best.end])

    def _f1_of(self, number: int, found: Candidate, hits: Sequence[Hit]) -> float:
        if not self._answerable[number]:
            return 0.0
        return self._f1(number, _text_of(found, hits))

    def _reading(self, number: int, hits: Sequence[Hit]) -> Reading | None:
        if self._reader.is_lexical(self._queries[number]):
            return None
        return self._reader.network.together([self._scored[number, hit.passage.id] for hit in hits])

    def _read(self, hits: Sequence[Sequence[Hit]]) -> None:
        """Show the network what it has not seen yet."""
        new: list[tuple[int, Query, list[Hit]]] = []
        for number, (query, mine) in enumerate(zip(self._queries, hits, strict=True)):
            unseen = [hit for hit in mine if (number, hit.passage.id) not in self._scored]
            if unseen and not self._reader.is_lexical(query):
                new.append((number, query, unseen))
        for at in range(0, len(new), _AT_ONCE):
            few = new[at : at + _AT_ONCE]
            passages = [[hit.passage for hit in mine] for _, _, mine in few]
            with self._pipeline.timings.stage("read"):
                found = self._reader.network.scored([query for _, query, _ in few], passages)
            for (number, _, mine), scored in zip(few, found, strict=True):
                self._scored |= {(number, hit.passage.id): one for hit, one in zip(mine, scored, strict=True)}
            self._progress(min(at + _AT_ONCE, len(new)), len(new))


def _text_of(found: Candidate, hits: Sequence[Hit]) -> str:
    span = found.choice.span
    return hits[found.choice.hit].passage.text[span.start : span.end]
