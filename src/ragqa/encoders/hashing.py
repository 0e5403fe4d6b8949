"""Signed feature hashing of BM25 terms: exact, instant, needs no model.

Weinberger et al. 2009, arXiv:0902.2206. It matches words, not meanings: for tests, and for machines without
a model.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from ragqa import analysis
from ragqa.errors import ConfigError
from ragqa.protocols import Vectors

# Han characters one by one, words, and every other visible sign.
_TOKEN = re.compile(
    r"[\u2e80-\u2fdf\u3005\u3007\u3400-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff\uf900-\ufaff]+|[^\w\s]"
)


MAX_DIMENSIONS = 65_536
"""Beyond that a vector takes more memory than its text, and collisions are rare anyway."""


@lru_cache(maxsize=200_000)
def _hash(term: str) -> int:
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class HashingEncoder:
    """Each term adds +1 or -1 to one of ``dimensions`` places; the sign lets collisions cancel on average."""

    def __init__(self, *, dimensions: int = 256) -> None:
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise ConfigError(f"dimensions is {dimensions}", accepted=f"1 to {MAX_DIMENSIONS:,}")
        self._dimensions = dimensions

    @property
    def fingerprint(self) -> str:
        return f"hashing:analysis{analysis.VERSION}:{self._dimensions}"

    @property
    def dimension(self) -> int:
        return self._dimensions

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each text, (N, D); texts without any term share one vector."""
        vectors = self._vectors(texts)
        vectors[~vectors.any(axis=1), _hash("") % self._dimensions] = 1.0
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each query, (N, D); zeros for a query without any term."""
        return self._vectors(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words, Han characters and signs of each text; there are no special tokens."""
        return [sum(1 for _ in _TOKEN.finditer(text)) for text in texts]

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for term in analysis.terms(text):
                place, negative = divmod(_hash(term), 2)
                vector[place % self._dimensions] += -1.0 if negative else 1.0
            length = float(np.linalg.norm(vector))
            if length > 0.0:
                vector /= length
        return vectors
