"""The one order of every ranking: greater scores first, equal scores by row. Pure."""

from collections.abc import Iterator

import numpy as np

from ragqa.protocols import Rows, Scores, Vectors

CLOSE = np.float32(1e-5)
"""Inner products of unit vectors this near may change places when they are computed in another order."""


def best(scores: Scores, top_k: int) -> Rows:
    """The places of the ``top_k`` greatest of ``scores`` (N,), best first, equal scores by place."""
    places = np.arange(len(scores), dtype=np.int64)
    if 0 <= top_k < len(scores):
        # A plain partition would keep an arbitrary few of the equal scores at the border.
        border = np.partition(scores, len(scores) - top_k)[len(scores) - top_k] if top_k else np.inf
        above = np.flatnonzero(scores > border)
        level = np.flatnonzero(scores == border)[: top_k - len(above)]
        places = np.concatenate([above, level])
    return places[np.lexsort((places, -scores[places]))]


def inner_products(query: Vectors, vectors: Vectors) -> Scores:
    """⟨query, v⟩ for each row v: ``query`` (D,), ``vectors`` (K, D) → (K,).

    Summed in float64 and rounded once, so that a pair has the same score whatever stands beside it: matrix
    products change in the last bits with the batch, and equal passages would no longer be equal.
    """
    products: Scores = np.einsum("kd,d->k", vectors, query, dtype=np.float64).astype(np.float32)
    return products


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``range(count)``."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
