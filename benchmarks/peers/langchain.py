"""LangChain: HuggingFaceEmbeddings in the FAISS vector store of langchain-community."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_community.vectorstores import FAISS
from langchain_community.vectorstores.utils import DistanceStrategy
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings

from peers.contract import BATCH, MAX_TOKENS, Source


class LangChain:
    def __init__(self, model: Path) -> None:
        self._folder = model
        self._embeddings: Any = None
        self._store: Any = None

    def load(self) -> None:
        self._embeddings = HuggingFaceEmbeddings(
            model_name=str(self._folder),
            model_kwargs={"device": "cpu"},
            encode_kwargs={"batch_size": BATCH, "normalize_embeddings": True},
        )
        self._embeddings._client.max_seq_length = MAX_TOKENS

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        documents = [Document(page_content=s.passage, metadata={"id": s.id}) for s in sources]
        store = FAISS.from_documents(
            documents, self._embeddings, distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT
        )
        store.save_local(str(folder))

    def open(self, folder: Path) -> None:
        self.load()
        # LangChain keeps the texts in a pickle and asks for this flag; the file is the one written above.
        self._store = FAISS.load_local(
            str(folder),
            self._embeddings,
            allow_dangerous_deserialization=True,
            distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
        )

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]:
        found = self._store.similarity_search_with_score(query, k=top_k)
        return [(document.metadata["id"], float(score)) for document, score in found]


def system(model: Path, variant: str) -> LangChain:
    return LangChain(model)
