"""What every vector store must do; a new file in ``ragqa/stores`` is enrolled by its name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa import plugins
from ragqa.errors import IndexDamaged
from ragqa.protocols import Rows, Scores, Vectors, VectorStore

EXACT: list[dict[str, Any]] = [
    *({"name": name} for name in plugins.names("stores")),
    {"name": "faiss", "factory": "Flat"},
    # As many lists visited as there are: nothing can be missed.
    {"name": "faiss", "factory": "IVF8,Flat", "nprobe": 8},
]
APPROXIMATE: list[dict[str, Any]] = [
    {"name": "faiss", "factory": "HNSW32"},
    {"name": "faiss", "factory": "SQ8"},
    {"name": "faiss", "factory": "IVF16,SQ8"},
]


def unit_vectors(count: int, seed: int, dimension: int = 32) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((count, dimension))
    units: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return units


def brute_force(vectors: Vectors, queries: Vectors, top_k: int) -> tuple[Scores, Rows]:
    """float64 products, sorted in full."""
    products = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    rows = np.argsort(-products, axis=1, kind="stable")[:, :top_k]
    return np.take_along_axis(products, rows, 1), rows


def filled(spec: dict[str, Any], *parts: Vectors) -> VectorStore:
    store: VectorStore = plugins.build("stores", spec)
    for part in parts:
        store.add(part)
    return store


def named(spec: dict[str, Any]) -> str:
    return " ".join(str(value) for value in spec.values())


@pytest.fixture(params=EXACT, ids=named)
def exact(request: pytest.FixtureRequest) -> dict[str, Any]:
    spec: dict[str, Any] = request.param
    return spec


@pytest.fixture(params=[*EXACT, *APPROXIMATE], ids=named)
def spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    spec: dict[str, Any] = request.param
    return spec


@pytest.mark.parametrize("top_k", [1, 7, 200, 1000])
def test_rows_and_scores_are_those_of_brute_force(exact: dict[str, Any], top_k: int) -> None:
    vectors, queries = unit_vectors(400, 1), unit_vectors(9, 2)
    scores, rows = filled(exact, vectors).search(queries, top_k)
    wanted_scores, wanted_rows = brute_force(vectors, queries, top_k)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, wanted_rows)
    np.testing.assert_allclose(scores, wanted_scores, atol=1e-6)


@pytest.mark.parametrize("spec", APPROXIMATE, ids=named)
def test_approximate_stores_find_nearly_the_same_rows_with_nearly_true_scores(spec: dict[str, Any]) -> None:
    vectors, queries = unit_vectors(1500, 3), unit_vectors(20, 4)
    scores, rows = filled({**spec, **({"nprobe": 16} if "IVF" in spec["factory"] else {})}, vectors).search(
        queries, 10
    )
    _, wanted = brute_force(vectors, queries, 10)
    found = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, wanted, strict=True)])
    assert found >= 0.9
    true = np.einsum("qkd,qd->qk", vectors[rows], queries)
    np.testing.assert_allclose(scores, true, atol=0.02)


def test_scores_fall_and_equal_scores_are_ordered_by_row(spec: dict[str, Any]) -> None:
    vectors = unit_vectors(300, 5)
    vectors[[7, 99, 200, 201]] = vectors[50]
    scores, rows = filled(spec, vectors).search(vectors[[50, 3]], 40)
    assert (np.diff(scores, axis=1) <= 0).all()
    level = np.diff(scores, axis=1) == 0
    assert (np.diff(rows, axis=1)[level] > 0).all()


def test_of_many_equal_passages_the_first_rows_are_kept(exact: dict[str, Any]) -> None:
    vectors = unit_vectors(600, 6)
    vectors[100:500] = vectors[0]
    scores, rows = filled(exact, vectors).search(vectors[:1], 5)
    if "IVF" not in str(exact.get("factory")):
        assert rows[0].tolist() == [0, 100, 101, 102, 103]
    assert len(set(scores[0].tolist())) == 1


def test_a_query_scores_the_same_alone_and_in_a_batch(spec: dict[str, Any]) -> None:
    store, queries = filled(spec, unit_vectors(500, 7)), unit_vectors(70, 8)
    together = store.search(queries, 12)
    for number in (0, 33, 69):
        scores, rows = store.search(queries[number : number + 1], 12)
        np.testing.assert_array_equal(rows[0], together[1][number])
        np.testing.assert_allclose(scores[0], together[0][number], atol=1e-6)


def test_building_twice_gives_the_same_hits(spec: dict[str, Any]) -> None:
    vectors, queries = unit_vectors(800, 9), unit_vectors(10, 10)
    first, second = (filled(spec, vectors).search(queries, 20) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_adding_in_parts_equals_adding_at_once(spec: dict[str, Any]) -> None:
    vectors, queries = unit_vectors(500, 11), unit_vectors(5, 12)
    once = filled(spec, vectors).search(queries, 10)
    parts = filled(spec, vectors[:1], vectors[1:300], vectors[300:]).search(queries, 10)
    np.testing.assert_array_equal(once[0], parts[0])
    np.testing.assert_array_equal(once[1], parts[1])


def test_a_loaded_store_answers_as_the_saved_one(spec: dict[str, Any], tmp_path: Path) -> None:
    vectors, queries = unit_vectors(500, 13), unit_vectors(5, 14)
    store = filled(spec, vectors)
    store.save(tmp_path)
    loaded = filled(spec)
    loaded.load(tmp_path)
    for before, after in zip(store.search(queries, 10), loaded.search(queries, 10), strict=True):
        np.testing.assert_array_equal(before, after)


def test_saving_twice_writes_the_same_bytes(spec: dict[str, Any], tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        filled(spec, unit_vectors(300, 15)).save(tmp_path / name)
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_an_empty_store_has_no_hits_and_survives_saving(spec: dict[str, Any], tmp_path: Path) -> None:
    store = filled(spec)
    store.save(tmp_path)
    loaded = filled(spec)
    loaded.load(tmp_path)
    for empty in (store, loaded):
        scores, rows = empty.search(unit_vectors(3, 16), 5)
        assert scores.shape == rows.shape == (3, 0)


def test_no_queries_and_top_k_0_give_empty_arrays(spec: dict[str, Any]) -> None:
    store = filled(spec, unit_vectors(300, 17))
    assert store.search(unit_vectors(0, 18), 5)[1].shape == (0, 5)
    assert store.search(unit_vectors(2, 18), 0)[1].shape == (2, 0)


def test_vectors_added_may_be_changed_afterwards(spec: dict[str, Any]) -> None:
    vectors, query = unit_vectors(300, 19), unit_vectors(1, 20)
    kept = filled(spec, vectors.copy()).search(query, 5)
    store = filled(spec, vectors)
    vectors[:] = 0
    np.testing.assert_array_equal(store.search(query, 5)[0], kept[0])


def test_a_missing_or_shortened_file_is_named(spec: dict[str, Any], tmp_path: Path) -> None:
    filled(spec, unit_vectors(300, 21)).save(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for damaged in (b"", whole[:9], whole[: len(whole) // 2], None):
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            with pytest.raises(IndexDamaged, match=str(tmp_path)):
                filled(spec).load(tmp_path)
        path.write_bytes(whole)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 40), top_k=st.integers(1, 50), seed=st.integers(0, 10_000), copies=st.integers(1, 4)
)
def test_flat_stores_agree_bit_for_bit_on_small_corpora_with_repetitions(
    count: int, top_k: int, seed: int, copies: int
) -> None:
    vectors, queries = np.repeat(unit_vectors(count, seed, 8), copies, axis=0), unit_vectors(3, seed + 1, 8)
    first, second = (filled({"name": name}, vectors).search(queries, top_k) for name in ("numpy", "faiss"))
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[0], second[0])
