"""Every vector compared with every query: exact, no training, memory-mapped."""

from pathlib import Path

import numpy as np

from ragqa.errors import IndexDamaged
from ragqa.protocols import Rows, Scores, Vectors
from ragqa.ranking import CLOSE, best, blocks, inner_products

FILE = "vectors.npy"
_QUERIES_AT_ONCE = 32
"""32 rows of float32 scores over a million passages are 128 MB."""


class NumpyStore:
    """The oracle of the other stores."""

    def __init__(self) -> None:
        self._added: list[Vectors] = []

    def add(self, vectors: Vectors) -> None:
        """Append rows, shape (N, D)."""
        self._added.append(np.array(vectors, dtype=np.float32, ndmin=2))

    def search(self, queries: Vectors, top_k: int) -> tuple[Scores, Rows]:
        """Best rows of each query, best first, equal scores by row: two arrays (Q, min(top_k, N))."""
        matrix = self._matrix()
        width = max(0, min(top_k, len(matrix)))
        scores = np.empty((len(queries), width), dtype=np.float32)
        rows = np.empty((len(queries), width), dtype=np.int64)
        if width:
            for block in blocks(len(queries), _QUERIES_AT_ONCE):
                nearly = queries[block] @ matrix.T
                for place, rough in zip(range(block.start, block.stop), nearly, strict=True):
                    # The product is right to a few last bits: everything near the border is computed again.
                    border = np.partition(rough, len(rough) - width)[len(rough) - width]
                    near = np.flatnonzero(rough >= border - CLOSE)
                    exact = inner_products(queries[place], matrix[near])
                    chosen = best(exact, width)
                    scores[place], rows[place] = exact[chosen], near[chosen]
        return scores, rows

    def save(self, folder: Path) -> None:
        """Write ``vectors.npy``."""
        np.save(folder / FILE, self._matrix(), allow_pickle=False)

    def load(self, folder: Path) -> None:
        """Map ``vectors.npy``; nothing is read before the first search.

        Raises:
            IndexDamaged: the file is missing, cut short or no matrix of float32.
        """
        path = folder / FILE
        try:
            matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as fault:
            raise IndexDamaged(
                f"{path} cannot be read ({fault})", next_step="build the index again from its documents"
            ) from fault
        if matrix.ndim != 2 or matrix.dtype != np.float32:
            raise IndexDamaged(
                f"{path} holds {matrix.dtype} {matrix.shape}", accepted="float32, shape (N, D)"
            )
        self._added = [matrix]

    def _matrix(self) -> Vectors:
        if not self._added:
            return np.empty((0, 0), dtype=np.float32)
        if len(self._added) > 1:
            self._added = [np.concatenate(self._added)]
        return self._added[0]
