"""Haystack: its sentence-transformers embedders and its FAISS document store, each behind a pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haystack import Document, Pipeline
from haystack.utils import ComponentDevice
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)
from haystack_integrations.components.retrievers.faiss import FAISSEmbeddingRetriever
from haystack_integrations.document_stores.faiss import FAISSDocumentStore

from peers.contract import BATCH, DIMENSION, Source


class Haystack:
    def __init__(self, model: Path) -> None:
        self._options = {
            "model": str(model),
            "device": ComponentDevice.from_str("cpu"),
            "batch_size": BATCH,
            "progress_bar": False,
            "normalize_embeddings": True,
        }
        self._embedder: Any = None
        self._pipeline: Any = None

    def load(self) -> None:
        """The model's own limit is 256 tokens; the embedder has no option for another."""
        self._embedder = SentenceTransformersDocumentEmbedder(**self._options)
        self._embedder.warm_up()

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        documents = [Document(id=s.id, content=s.passage) for s in sources]
        folder.mkdir(parents=True)
        store = _store(folder)
        store.write_documents(self._embedder.run(documents)["documents"])
        store.save(folder / "index")

    def open(self, folder: Path) -> None:
        self._pipeline = Pipeline()
        self._pipeline.add_component("embedder", SentenceTransformersTextEmbedder(**self._options))
        self._pipeline.add_component("retriever", FAISSEmbeddingRetriever(document_store=_store(folder)))
        self._pipeline.connect("embedder.embedding", "retriever.query_embedding")
        self._pipeline.warm_up()

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        found = self._pipeline.run({"embedder": {"text": query}, "retriever": {"top_k": top_k}})
        return [(document.id, float(document.score)) for document in found["retriever"]["documents"]]


def _store(folder: Path) -> Any:
    return FAISSDocumentStore(index_path=str(folder / "index"), index_string="Flat", embedding_dim=DIMENSION)


def system(model: Path, variant: str) -> Haystack:
    return Haystack(model)
