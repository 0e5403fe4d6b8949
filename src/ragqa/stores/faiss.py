"""FAISS by inner product: exact up to 200,000 vectors, a graph above, or any index_factory string."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ragqa.errors import ConfigError, IndexDamaged
from ragqa.protocols import Rows, Scores, Vectors
from ragqa.ranking import CLOSE, best, blocks, inner_products

EXACT_UP_TO = 200_000
GRAPH = "HNSW32"
INDEX, STATE = "vectors.faiss", "faiss.json"

_MAPPED = ("Flat", GRAPH)
"""Read through a memory map. Of other kinds a file cut short can crash the process when mapped (seen with
``PCA16,Flat``), where these two raise; reading in full raises for all."""

_MARGIN = 32
"""Hits fetched beyond ``top_k``, so that ties at the border are seen."""

_FEW_QUERIES = 32
"""Up to so many queries one thread is faster: 100,000 x 384, one query, 5 ms against 21 ms with two threads
beside another busy process."""

_PRODUCT_FROM = 8
"""Queries from which one product of matrices takes less time than one vector after another."""


class FaissStore:
    """Vectors in one FAISS index. The same vectors give the same index and hits, graphs included."""

    def __init__(
        self, *, factory: str = "auto", ef_construction: int = 100, ef_search: int = 256, nprobe: int = 32
    ) -> None:
        """
        Args:
            factory: ``auto`` or a string for ``faiss.index_factory``; the metric is always the inner product.
            ef_construction: neighbours looked at for each vector added to a graph.
            ef_search: neighbours looked at in a search of a graph.
            nprobe: lists visited in a search of an inverted file.
        """
        self._factory, self._ef_construction = factory, ef_construction
        self._ef_search, self._nprobe = ef_search, nprobe
        self._pending: list[Vectors] = []
        self._index: Any = None
        self._built = ""
        if factory != "auto":
            # Divisible by most codebook counts: a wrong string is found before anything is embedded.
            _create(factory, 3840)

    def add(self, vectors: Vectors) -> None:
        """Append rows, shape (N, D). The index is built at the next search or save, from all rows at once."""
        if self._index is not None:
            raise ValueError("a built or loaded index takes no more rows: build a new one from all of them")
        self._pending.append(np.array(vectors, dtype=np.float32, ndmin=2))

    def search(self, queries: Vectors, top_k: int) -> tuple[Scores, Rows]:
        """Best rows of each query, best first: two arrays (Q, min(top_k, N)); unfilled places hold row -1.

        Raises:
            ConfigError: the factory cannot hold these vectors.
        """
        index = self._ready()
        width = max(0, min(top_k, index.ntotal if index is not None else 0))
        scores = np.full((len(queries), width), -np.inf, dtype=np.float32)
        rows = np.full((len(queries), width), -1, dtype=np.int64)
        if width:
            search = self._search_exact if self._built == "Flat" else self._search_nearly
            for block in blocks(len(queries), 256):
                count = block.stop - block.start
                with _threads(1 if count <= _FEW_QUERIES else faiss.omp_get_max_threads()), _products(count):
                    scores[block], rows[block] = search(np.ascontiguousarray(queries[block]), width)
        return scores, rows

    def save(self, folder: Path) -> None:
        """Write ``vectors.faiss`` (absent for an empty store) and ``faiss.json``."""
        index = self._ready()
        count = index.ntotal if index is not None else 0
        if count:
            faiss.write_index(index, str(folder / INDEX))
        state = {"factory": self._built, "vectors": count}
        (folder / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Open what ``save`` wrote; the search options are those of this store, the factory the saved one.

        Raises:
            IndexDamaged: a file is missing, cut short or does not fit the other.
        """
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            factory, count = str(state["factory"]), int(state["vectors"])
            index = _read(folder / INDEX, mapped=factory in _MAPPED) if count else None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as fault:
            raise _damaged(folder, str(fault)) from fault
        if index is not None and index.ntotal != count:
            raise _damaged(folder, f"{index.ntotal} vectors instead of {count}")
        self._pending, self._index, self._built = [], index, factory
        self._set_search_options()

    def _search_exact(self, queries: Vectors, width: int) -> tuple[Scores, Rows]:
        total = self._index.ntotal
        fetch = min(width + _MARGIN, total)
        scores, rows = self._index.search(queries, fetch)
        # Many equal passages: fetch until the last one fetched is clearly below the border.
        while fetch < total and (scores[:, width - 1] - scores[:, -1] <= CLOSE).any():
            fetch = min(4 * fetch, total)
            scores, rows = self._index.search(queries, fetch)
        best_scores = np.empty((len(queries), width), dtype=np.float32)
        best_rows = np.empty((len(queries), width), dtype=np.int64)
        for place, query in enumerate(queries):
            found = np.sort(rows[place])
            exact = inner_products(query, self._index.reconstruct_batch(found))
            chosen = best(exact, width)
            best_scores[place], best_rows[place] = exact[chosen], found[chosen]
        return best_scores, best_rows

    def _search_nearly(self, queries: Vectors, width: int) -> tuple[Scores, Rows]:
        scores, rows = self._index.search(queries, width)
        scores[rows < 0] = -np.inf
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def _ready(self) -> Any:
        if self._index is None and any(len(v) for v in self._pending):
            vectors = np.concatenate(self._pending) if len(self._pending) > 1 else self._pending[0]
            self._pending = []
            self._built = self._factory
            if self._factory == "auto":
                self._built = "Flat" if len(vectors) <= EXACT_UP_TO else GRAPH
            self._index = _create(self._built, vectors.shape[1])
            if isinstance(self._index, faiss.IndexHNSW):
                self._index.hnsw.efConstruction = self._ef_construction
            # Threads insert into a graph in an order of their own: one thread gives one graph.
            with _threads(1):
                _fill(self._index, self._built, vectors)
            self._set_search_options()
        return self._index

    def _set_search_options(self) -> None:
        if isinstance(self._index, faiss.IndexHNSW):
            self._index.hnsw.efSearch = self._ef_search
        lists = faiss.try_extract_index_ivf(self._index) if self._index is not None else None
        if lists is not None:
            lists.nprobe = self._nprobe


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextmanager
def _products(queries: int) -> Iterator[None]:
    """One matrix product for many queries: FAISS 1.15 would begin at 128,000 of them, older releases at 20."""
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = _PRODUCT_FROM
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def _create(factory: str, dimension: int) -> Any:
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as fault:
        raise _unfit(factory, f"faiss refuses it for vectors of {dimension}: {_reason(fault)}") from fault
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise _unfit(factory, "it does not rank by inner product")
    return index


def _fill(index: Any, factory: str, vectors: Vectors) -> None:
    try:
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
    except RuntimeError as fault:
        raise _unfit(factory, f"it cannot hold {len(vectors)} vectors: {_reason(fault)}") from fault


def _read(path: Path, *, mapped: bool) -> Any:
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


def _reason(fault: RuntimeError) -> str:
    """What FAISS says, without the C++ signature and the failed condition in front of it."""
    words = str(fault).rpartition(".cpp:")[2].lstrip("0123456789: ")
    return (words.partition("failed: ")[2] or words).strip()


def _unfit(factory: str, why: str) -> ConfigError:
    return ConfigError(
        f"store.factory {factory!r}: {why}",
        accepted="auto, Flat, HNSW32, SQ8, IVF256,Flat or another faiss index_factory string",
        next_step="factory: auto",
    )


def _damaged(folder: Path, what: str) -> IndexDamaged:
    return IndexDamaged(
        f"the vectors in {folder} cannot be opened ({what})",
        next_step="build the index again from its documents",
    )
