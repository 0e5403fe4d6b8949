"""What only the exact store has: a matrix on disk that is mapped, not read."""

from pathlib import Path

import numpy as np
import pytest

from ragqa.errors import IndexDamaged
from ragqa.stores.numpy import NumpyStore


def test_rows_can_be_added_to_a_loaded_store(tmp_path: Path) -> None:
    store = NumpyStore()
    store.add(np.eye(3, dtype=np.float32))
    store.save(tmp_path)
    grown = NumpyStore()
    grown.load(tmp_path)
    grown.add(np.full((1, 3), 0.5, dtype=np.float32))
    scores, rows = grown.search(np.array([[0.9, 0.1, 0.1]], dtype=np.float32), 2)
    assert rows.tolist() == [[0, 3]]
    np.testing.assert_allclose(scores, [[0.9, 0.55]], atol=1e-6)


def test_a_matrix_of_another_type_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.eye(3))
    with pytest.raises(IndexDamaged, match="float64"):
        NumpyStore().load(tmp_path)


def test_a_file_that_only_pickle_could_read_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexDamaged, match="Python objects"):
        NumpyStore().load(tmp_path)
