"""ragqa: files → index as `ragqa index` makes it, with catalog, vectors and BM25; hybrid search.

Variants: ``dense`` ranks by vectors alone, as the peers do; ``int8`` serves the quantised encoder.
"""

from collections.abc import Sequence
from pathlib import Path

from peers.contract import MAX_TOKENS, Source
from ragqa.config import Config, load_config
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.types import Query

_VARIANTS = {"": [], "dense": ["fusion.dense_weight=1"], "int8": ["encoder.precision=int8"]}


class Ragqa:
    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = overrides
        self._pipeline: Pipeline | None = None

    def load(self) -> None:
        """The indexing modules; `build` opens the encoder itself, so its loading counts as indexing."""
        import ragqa.indexing  # noqa: F401

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        from ragqa.indexing import build_index

        report = build_index([corpus.parent], folder, self._config(), rebuild=True)
        if report.counts.passages != len(sources):
            raise SystemExit(f"{report.counts.passages} passages of {len(sources)} documents")

    def open(self, folder: Path) -> None:
        self._pipeline = load_pipeline(folder, self._config())

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        assert self._pipeline is not None
        hits = self._pipeline.retrieve([Query(query)], top_k)[0]
        # A record of corpus.jsonl is the document FILE#ID.
        return [(hit.passage.doc_id.partition("#")[2], hit.score) for hit in hits]

    def _config(self) -> Config:
        whole = ["splitter=whole", "encoder.truncate=true", f"encoder.max_passage_tokens={MAX_TOKENS}"]
        return load_config(None, [*whole, *self._overrides])


def system(model: Path, variant: str) -> Ragqa:
    return Ragqa(_VARIANTS[variant])
