"""sentence-transformers + FAISS: the two libraries with nothing around them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
from sentence_transformers import SentenceTransformer

from peers.contract import BATCH, DIMENSION, MAX_TOKENS, Source


class SentenceTransformersFaiss:
    def __init__(self, model: Path) -> None:
        self._folder = model
        self._model: Any = None
        self._index: Any = None
        self._ids: list[str] = []

    def load(self) -> None:
        self._model = SentenceTransformer(str(self._folder), device="cpu")
        self._model.max_seq_length = MAX_TOKENS

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        vectors = self._model.encode(
            [s.passage for s in sources], batch_size=BATCH, normalize_embeddings=True
        )
        index = faiss.IndexFlatIP(DIMENSION)
        index.add(vectors)
        folder.mkdir(parents=True)
        faiss.write_index(index, str(folder / "index.faiss"))
        texts = [[s.id, s.passage] for s in sources]
        (folder / "documents.json").write_text(json.dumps(texts), encoding="utf-8")

    def open(self, folder: Path) -> None:
        self.load()
        self._index = faiss.read_index(str(folder / "index.faiss"))
        texts = json.loads((folder / "documents.json").read_text(encoding="utf-8"))
        self._ids = [id_ for id_, _ in texts]

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        vector = self._model.encode([query], normalize_embeddings=True, show_progress_bar=False)
        scores, rows = self._index.search(vector, top_k)
        return [(self._ids[r], float(s)) for r, s in zip(rows[0], scores[0], strict=True) if r >= 0]


def system(model: Path, variant: str) -> SentenceTransformersFaiss:
    return SentenceTransformersFaiss(model)
