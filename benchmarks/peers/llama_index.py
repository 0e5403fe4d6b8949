"""LlamaIndex: HuggingFaceEmbedding in its FAISS vector store; each document is one node."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.faiss import FaissVectorStore

from peers.contract import BATCH, DIMENSION, MAX_TOKENS, Source


class LlamaIndex:
    def __init__(self, model: Path) -> None:
        self._folder = model
        self._embedding: Any = None
        self._index: Any = None

    def load(self) -> None:
        self._embedding = HuggingFaceEmbedding(
            model_name=str(self._folder), max_length=MAX_TOKENS, embed_batch_size=BATCH, device="cpu"
        )

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        nodes = [TextNode(text=s.passage, id_=s.id) for s in sources]
        store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(DIMENSION))
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex(nodes, storage_context=context, embed_model=self._embedding)
        index.storage_context.persist(persist_dir=str(folder))

    def open(self, folder: Path) -> None:
        self.load()
        store = FaissVectorStore.from_persist_dir(str(folder))
        context = StorageContext.from_defaults(vector_store=store, persist_dir=str(folder))
        self._index = load_index_from_storage(context, embed_model=self._embedding)

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        found = self._index.as_retriever(similarity_top_k=top_k).retrieve(query)
        return [(hit.node.node_id, float(hit.score)) for hit in found]


def system(model: Path, variant: str) -> LlamaIndex:
    return LlamaIndex(model)
