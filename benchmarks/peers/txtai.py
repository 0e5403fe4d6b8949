"""txtai: its embeddings database, FAISS vectors with the texts in SQLite."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from txtai import Embeddings

from peers.contract import BATCH, MAX_TOKENS, Source


class Txtai:
    def __init__(self, model: Path) -> None:
        self._folder = model
        self._embeddings: Any = None

    def load(self) -> None:
        self._embeddings = Embeddings(
            path=str(self._folder),
            backend="faiss",
            faiss={"components": "IDMap,Flat"},
            encodebatch=BATCH,
            maxlength=MAX_TOKENS,
            gpu=False,
            content=True,
        )

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        self._embeddings.index((s.id, s.passage, None) for s in sources)
        self._embeddings.save(str(folder))

    def open(self, folder: Path) -> None:
        self._embeddings = Embeddings()
        self._embeddings.load(str(folder))

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        return [(hit["id"], float(hit["score"])) for hit in self._embeddings.search(query, top_k)]


def system(model: Path, variant: str) -> Txtai:
    return Txtai(model)
