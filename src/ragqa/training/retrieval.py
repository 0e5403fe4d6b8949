"""Retrieval over passages in memory: what calibration asks and hard negatives are mined with."""

from collections.abc import Sequence
from typing import Protocol

from ragqa.analysis import terms
from ragqa.config import Config
from ragqa.hybrid import HybridSearch, Timings
from ragqa.plugins import build, options
from ragqa.protocols import Encoder, TermIndex, Vectors
from ragqa.types import Hit, Passage


class Retrieves(Protocol):
    """Queries → hits."""

    def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        """At most ``top_k`` hits for each query, best first."""
        ...


class MemoryRetriever:
    """The default retrieval over passages in memory; ``vectors`` (N, D) may be given where they are known."""

    def __init__(self, passages: Sequence[Passage], config: Config, vectors: Vectors | None = None) -> None:
        self.passages = passages
        # Passages of data sets are as long as they come: an encoder that would refuse one shall cut it.
        cut = {"truncate": True} if "truncate" in options("encoders", config.encoder.name) else {}
        encoder: Encoder = build("encoders", {**config.encoder.options(), **cut})
        store = build("stores", config.store.options())
        texts = [p.titled_text for p in passages]
        self.vectors = encoder.encode_passages(texts) if vectors is None else vectors
        store.add(self.vectors)
        lexical = build("indexes", config.lexical.options())
        lexical.add([terms(text) for text in texts])
        self._hybrid = HybridSearch(encoder, store, lexical, config.fusion, Timings())

    def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        """At most ``top_k`` hits for each query, best first."""
        ranked = self._hybrid.search(queries, top_k)
        return [[Hit(self.passages[r.row], r.score, r.legs) for r in rows] for rows in ranked]


class TermRetriever:
    """BM25 alone over passages in memory: no model, seconds for 20,000 passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._index: TermIndex = build("indexes", {"name": "bm25"})
        self._index.add([terms(p.titled_text) for p in passages])

    def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        """At most ``top_k`` hits for each query, best first."""
        found = self._index.search([terms(query) for query in queries], top_k)
        return [
            [Hit(self.passages[int(row)], float(score)) for score, row in zip(scores, rows, strict=True)]
            for scores, rows in found
        ]
