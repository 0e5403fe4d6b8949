"""Passages of a catalog → their vectors, and what searches vectors and terms: the second half of an index run."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ragqa import analysis, plugins
from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.protocols import Encoder, Rows, TermIndex, VectorStore

VECTORS, DENSE, LEXICAL = "vectors.npy", "dense", "lexical"

Progress = Callable[[str, int, int], None]
"""Called with the stage ("reading", "embedding"), how much is done and how much there is."""

_ENCODE_ROWS = 2048


def write_vectors(
    path: Path,
    catalog: Catalog,
    encoder: Encoder,
    known: tuple[Catalog, Path] | None,
    progress: Progress,
) -> int:
    """Vectors of all passages in row order: reused where the text is known, else encoded. Returns how many were.

    Args:
        known: a catalog, and the vectors of its passages.
    """
    vectors = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(len(catalog), encoder.dimension)
    )
    missing = np.arange(len(catalog))
    if known is not None:
        former, stored = known[0], np.load(known[1], mmap_mode="r")
        places = catalog.rows_in(former)
        for block in _blocks(np.flatnonzero(places >= 0), 16 * _ENCODE_ROWS):
            vectors[block] = stored[places[block]]
        missing = np.flatnonzero(places < 0)
    # Equal texts are embedded once: ``owners`` lists, text by text, the rows that hold it.
    _, first, texts = np.unique(catalog.digests()[missing], return_index=True, return_inverse=True)
    owners = missing[np.argsort(texts, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(texts, minlength=len(first)))])
    for block in _blocks(np.arange(len(first)), _ENCODE_ROWS):
        progress("embedding", int(block[0]), len(first))
        passages = catalog.passages(missing[first[block]].tolist())
        encoded = encoder.encode_passages([p.titled_text for p in passages])
        copies = np.diff(bounds)[block]
        vectors[owners[bounds[block[0]] : bounds[block[-1] + 1]]] = np.repeat(encoded, copies, axis=0)
    progress("embedding", len(first), len(first))
    vectors.flush()
    return len(first)


def _blocks(rows: Rows, size: int) -> Iterable[Rows]:
    return (rows[at : at + size] for at in range(0, len(rows), size))


def write_searchers(folder: Path, catalog: Catalog, config: Config, progress: Progress) -> None:
    """The vector store and the term index over the passages of ``catalog``, whose vectors stand in ``folder``."""
    progress("searching structures", 0, 2)
    store: VectorStore = plugins.build("stores", config.store.options())
    store.add(np.load(folder / VECTORS, mmap_mode="r"))
    (folder / DENSE).mkdir()
    store.save(folder / DENSE)
    del store
    progress("searching structures", 1, 2)
    lexical: TermIndex = plugins.build("indexes", config.lexical.options())
    lexical.add([analysis.terms(p.titled_text) for p in catalog.all_passages()])
    (folder / LEXICAL).mkdir()
    lexical.save(folder / LEXICAL)
    progress("searching structures", 2, 2)
