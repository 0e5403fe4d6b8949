"""Both legs and their fusion against the exact scores of each leg."""

import numpy as np
import pytest

from ragqa import analysis
from ragqa.config import FusionConfig
from ragqa.encoders.hashing import HashingEncoder
from ragqa.hybrid import HybridSearch, RankedRow, Timings
from ragqa.indexes.bm25 import Bm25Index
from ragqa.protocols import Rows, Scores, Vectors
from ragqa.stores.numpy import NumpyStore

TEXTS = ["a cat sat on the mat", "the night train leaves at ten", "a cat missed the train", "苹果树四月开花"]


def search(config: FusionConfig, store: NumpyStore | None = None) -> HybridSearch:
    encoder, store, lexical = HashingEncoder(), store or NumpyStore(), Bm25Index()
    store.add(encoder.encode_passages(TEXTS))
    lexical.add([analysis.terms(text) for text in TEXTS])
    return HybridSearch(encoder, store, lexical, config, Timings())


def ranked(config: FusionConfig, query: str, top_k: int = 10) -> list[RankedRow]:
    return search(config).search([query], top_k)[0]


def test_each_hit_carries_the_raw_scores_of_its_legs() -> None:
    encoder = HashingEncoder()
    cosines = encoder.encode_passages(TEXTS) @ encoder.encode_queries(["cat train"])[0]
    lexical = Bm25Index()
    lexical.add([analysis.terms(text) for text in TEXTS])
    ((scores, rows),) = lexical.search([analysis.terms("cat train")], 10)
    bm25 = dict(zip(rows.tolist(), scores.tolist(), strict=True))
    found = ranked(FusionConfig(), "cat train")
    assert found[0].row == 2
    for hit in found:
        assert hit.legs["dense"] == pytest.approx(float(cosines[hit.row]), abs=1e-6)
        assert hit.legs.get("bm25") == (pytest.approx(bm25[hit.row]) if hit.row in bm25 else None)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize(("weight", "leg"), [(1.0, "dense"), (0.0, "bm25")])
def test_the_weights_0_and_1_leave_the_order_of_one_leg(weight: float, leg: str) -> None:
    found = [h for h in ranked(FusionConfig(dense_weight=weight), "cat train ten") if leg in h.legs]
    own = [h.legs[leg] for h in found]
    assert own == sorted(own, reverse=True)


@pytest.mark.parametrize("method", ["convex", "reciprocal_rank"])
def test_top_k_is_a_ceiling(method: str) -> None:
    assert len(ranked(FusionConfig(method=method), "cat", 2)) == 2
    assert len(ranked(FusionConfig(method=method), "cat", 99)) <= len(TEXTS)


def test_the_method_none_searches_nothing() -> None:
    idle = search(FusionConfig(method="none"))
    assert idle.search(["cat", "train"], 3) == [[], []]
    assert idle.timings.seconds.keys() == {"fuse"}


def test_a_query_that_the_encoder_cannot_read_is_answered_by_its_terms() -> None:
    class Blind(HashingEncoder):
        def encode_queries(self, texts: object) -> Vectors:
            return np.zeros((1, self.dimension), dtype=np.float32)

    hybrid = search(FusionConfig())
    hybrid.encoder = Blind()
    (found,) = hybrid.search(["四月"], 10)
    assert [hit.row for hit in found] == [3]
    assert set(found[0].legs) == {"bm25"}


def test_padding_of_an_approximate_search_is_no_hit() -> None:
    class Padding(NumpyStore):
        def search(self, vectors: Vectors, top_k: int) -> tuple[Scores, Rows]:
            scores, rows = super().search(vectors, top_k)
            scores[:, 1:], rows[:, 1:] = -np.inf, -1
            return scores, rows

    (found,) = search(FusionConfig(), Padding()).search(["zebra"], 10)
    assert all(hit.row >= 0 for hit in found)
    assert sum("dense" in hit.legs for hit in found) == 1


def test_nothing_asked_nothing_found() -> None:
    assert search(FusionConfig()).search([], 5) == []


def test_the_time_of_each_stage_adds_up() -> None:
    hybrid = search(FusionConfig())
    hybrid.search(["cat"], 3)
    first = dict(hybrid.timings.seconds)
    hybrid.search(["cat"], 3)
    assert first.keys() == {"encode", "dense", "bm25", "fuse"}
    assert all(hybrid.timings.seconds[name] > seconds > 0 for name, seconds in first.items())
