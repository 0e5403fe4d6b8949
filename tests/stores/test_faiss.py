"""What only the FAISS store has: the choice of the index, its options and its padding."""

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from ragqa.errors import ConfigError
from ragqa.protocols import Vectors
from ragqa.stores import faiss as store_module
from ragqa.stores.faiss import FaissStore


def vectors_of(count: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((count, 16))
    units: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return units


@pytest.mark.parametrize(
    ("factory", "says"), [("Bogus", "could not parse"), ("PQ7", "multiple"), ("LSH", "'LSH'")]
)
def test_a_factory_that_cannot_work_is_refused_before_any_vector(factory: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        FaissStore(factory=factory)
    assert "factory: auto" in str(raised.value)
    assert "/project/" not in str(raised.value)


@pytest.mark.parametrize("factory", ["IVF64,Flat", "PQ8"])
def test_too_few_vectors_to_train_on_say_so(factory: str, tmp_path: Path) -> None:
    store = FaissStore(factory=factory)
    store.add(vectors_of(20))
    with pytest.raises(ConfigError, match=r"20 vectors.*training points"):
        store.save(tmp_path)


def test_a_factory_of_another_dimension_is_refused_with_the_dimension() -> None:
    store = FaissStore(factory="PQ32")
    store.add(vectors_of(20))
    with pytest.raises(ConfigError, match="vectors of 16"):
        store.search(vectors_of(1), 1)


@pytest.mark.parametrize(("count", "built"), [(40, "Flat"), (41, "HNSW32")])
def test_auto_is_exact_up_to_its_limit_and_a_graph_above(
    count: int, built: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "EXACT_UP_TO", 40)
    store = FaissStore()
    store.add(vectors_of(count))
    store.save(tmp_path)
    assert json.loads((tmp_path / "faiss.json").read_text())["factory"] == built


def test_places_that_a_search_could_not_fill_are_minus_one_and_last() -> None:
    store = FaissStore(factory="IVF16,Flat", nprobe=1)
    store.add(vectors_of(64))
    scores, rows = store.search(vectors_of(4, seed=1), 64)
    assert rows.shape == (4, 64)
    for row, score in zip(rows, scores, strict=True):
        found = int((row >= 0).sum())
        assert 0 < found < 64
        assert (row[:found] >= 0).all()
        assert np.isneginf(score[found:]).all()


def test_a_wider_search_of_the_graph_finds_more() -> None:
    vectors, queries = vectors_of(2000), vectors_of(50, seed=1)
    exact = FaissStore(factory="Flat")
    exact.add(vectors)
    wanted = exact.search(queries, 10)[1]

    def recall(ef_search: int) -> float:
        store = FaissStore(factory="HNSW4", ef_search=ef_search)
        store.add(vectors)
        found = store.search(queries, 10)[1]
        return float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, wanted, strict=True)]))

    assert recall(200) > recall(10) + 0.1


@pytest.mark.parametrize("factory", ["Flat", "HNSW32"])
def test_the_settings_of_the_process_are_left_as_they_were(factory: str) -> None:
    def settings() -> tuple[int, int]:
        return faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold

    before = settings()
    store = FaissStore(factory=factory)
    store.add(vectors_of(50))
    store.search(vectors_of(40, seed=1), 3)
    assert settings() == before


def test_rows_cannot_be_added_to_a_built_index() -> None:
    store = FaissStore()
    store.add(vectors_of(5))
    store.search(vectors_of(1), 1)
    with pytest.raises(ValueError, match="build a new one"):
        store.add(vectors_of(5))
