"""Both legs of the retrieval and their fusion, over whatever holds the passages.

query ──encode──▶ dense rows ─┐
      ──terms───▶ BM25 rows  ─┴─fuse──▶ ranked rows
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ragqa import analysis, fusion
from ragqa.config import FusionConfig
from ragqa.protocols import Encoder, Rows, Scores, TermIndex, VectorStore

Leg = Mapping[int, float]
"""Row → score, best first."""


@dataclass
class Timings:
    """Seconds spent in each stage, summed over calls."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A row with its fused score and the raw scores of the legs that found it."""

    row: int
    score: float
    legs: Mapping[str, float]


class HybridSearch:
    """Searches a vector store and a term index whose rows are the same passages."""

    def __init__(
        self, encoder: Encoder, store: VectorStore, lexical: TermIndex, config: FusionConfig, timings: Timings
    ) -> None:
        self.encoder, self.store, self.lexical = encoder, store, lexical
        self.config, self.timings = config, timings

    def search(self, texts: Sequence[str], top_k: int) -> list[list[RankedRow]]:
        """At most ``top_k`` rows for each text, best first."""
        legs = self.legs(texts, self.depth(top_k))
        with self.timings.stage("fuse"):
            return [self.fused(dense, bm25, top_k) for dense, bm25 in legs]

    def depth(self, top_k: int) -> int:
        """How many rows of each leg are fused for ``top_k`` hits."""
        return max(top_k, self.config.candidates)

    def legs(self, texts: Sequence[str], depth: int) -> list[tuple[Leg, Leg]]:
        """Row → score of the best ``depth`` rows of both legs, dense and BM25, best first, for each text.

        Under the method ``none`` nothing is searched, and every leg is empty.
        """
        if not texts or self.config.method == "none":
            return [({}, {}) for _ in texts]
        with self.timings.stage("encode"):
            vectors = self.encoder.encode_queries(texts)
        with self.timings.stage("dense"):
            scores, rows = self.store.search(vectors, depth)
        with self.timings.stage("bm25"):
            lexical = self.lexical.search([analysis.terms(text) for text in texts], depth)
        # A zero vector means that the encoder cannot read the query: the dense leg drops out.
        dense = [_leg(r, s) if v.any() else {} for v, r, s in zip(vectors, rows, scores, strict=True)]
        return [(d, _leg(r, s)) for d, (s, r) in zip(dense, lexical, strict=True)]

    def fused(self, dense: Leg, bm25: Leg, top_k: int) -> list[RankedRow]:
        """At most ``top_k`` rows out of both legs."""
        legs = {"dense": dense, "bm25": bm25}
        if self.config.method == "convex":
            ranked = fusion.convex(dense, bm25, self.config.dense_weight)
        else:
            ranked = fusion.reciprocal_rank([dense, bm25])
        return [
            RankedRow(row, score, {name: leg[row] for name, leg in legs.items() if row in leg})
            for row, score in ranked[:top_k]
        ]


def _leg(rows: Rows, scores: Scores) -> dict[int, float]:
    """Row → score; places that an approximate search left empty (row -1) are no hits."""
    return {int(row): float(score) for row, score in zip(rows, scores, strict=True) if row >= 0}
