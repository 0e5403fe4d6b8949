"""BM25 by the rank_bm25 package: slow and simple, the judge of the default."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rank_bm25 import BM25Okapi

from ragqa.errors import ConfigError, IndexDamaged
from ragqa.protocols import Rows, Scores
from ragqa.ranking import best

FILE = "terms.json"


class RankBm25Index:
    """``BM25Okapi`` with Lucene's idf: its scores are (k1 + 1) times those of the ``bm25`` index.

    Okapi's own idf is 0 for a term of half the texts and negative above, so that nothing is found among two
    passages; ln(1 + (N - n + 0.5) / (n + 0.5)) is positive always.
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75) -> None:
        if k1 <= 0 or not 0 <= b <= 1:
            raise ConfigError(f"rank_bm25: k1 {k1}, b {b}", accepted="k1 above 0, b from 0 to 1")
        self._k1, self._b = k1, b
        self._texts: list[list[str]] = []
        self._model: BM25Okapi | None = None

    def add(self, texts: Sequence[Sequence[str]]) -> None:
        """Index texts, each as its terms; row 0 is the first. Called once."""
        if self._texts:
            raise ValueError("add is called once, with all texts")
        self._texts = [list(text) for text in texts]
        self._model = None
        if any(self._texts):  # BM25Okapi divides by the number of texts and of terms
            self._model = BM25Okapi(self._texts, k1=self._k1, b=self._b)
            self._model.idf = _lucene_idf(self._texts)

    def search(self, queries: Sequence[Sequence[str]], top_k: int) -> list[tuple[Scores, Rows]]:
        """For each query the best rows with a score above 0, best first, equal scores by row."""
        return [self._search(list(query), top_k) for query in queries]

    def save(self, folder: Path) -> None:
        """Write ``terms.json``: the parameters and the texts; the model is computed again by ``load``."""
        state = {"k1": self._k1, "b": self._b, "texts": self._texts}
        (folder / FILE).write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take the state that ``save`` wrote.

        Raises:
            IndexDamaged: the file is missing or is not what ``save`` writes.
        """
        path = folder / FILE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            self._k1, self._b, texts = float(state["k1"]), float(state["b"]), state["texts"]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise IndexDamaged(
                f"{path} cannot be read ({fault})", next_step="build the index again from its documents"
            ) from fault
        self._texts = []
        self.add(texts)

    def _search(self, query: list[str], top_k: int) -> tuple[Scores, Rows]:
        if self._model is None:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        with np.errstate(invalid="ignore"):  # b = 1 divides 0 by 0 for a text without terms
            scores = np.nan_to_num(self._model.get_scores(query)).astype(np.float32)
        rows = best(scores, top_k)
        rows = rows[scores[rows] > 0]
        return scores[rows], rows


def _lucene_idf(texts: Sequence[Sequence[str]]) -> dict[str, float]:
    holding = Counter(term for text in texts for term in set(text))
    return {term: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for term, n in holding.items()}
