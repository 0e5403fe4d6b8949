"""Stored weights: how far they may be from the trained ones, and that they appear whole."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragqa import checkpoints
from ragqa.protocols import Storage


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(1e-6, 1e4), st.integers(0, 999))
@example(rows=1, columns=1, size=1e-6, seed=374)  # the smallest rows were stored as zeros
def test_int8_is_off_by_half_a_step_of_its_row_at_most(
    rows: int, columns: int, size: float, seed: int
) -> None:
    torch.manual_seed(seed)
    matrix = torch.randn(rows, columns) * size * torch.logspace(-3, 3, rows)[:, None]
    packed = checkpoints.pack({"w": matrix}, "int8")
    assert packed["w"].dtype == torch.int8
    back = checkpoints.unpack(packed)["w"]
    step = matrix.abs().amax(1, keepdim=True) / 127
    rounding = 3 * 127 * 2**-24  # of the scale, the quotient and the product, in steps
    assert ((back - matrix).abs() <= step * (0.5 + rounding)).all()


def test_zeros_stay_zeros_and_vectors_exact() -> None:
    state = {"w": torch.zeros(2, 3), "bias": torch.tensor([0.1, 1e-8, 3e8])}
    for storage in ("float32", "float16", "int8"):
        back = checkpoints.unpack(checkpoints.pack(state, storage))
        assert back.keys() == state.keys()
        assert torch.equal(back["w"], state["w"])
        assert torch.equal(back["bias"], state["bias"])


def test_float16_and_float32_are_what_they_say() -> None:
    matrix = torch.randn(5, 4)
    assert torch.equal(checkpoints.unpack(checkpoints.pack({"w": matrix}, "float32"))["w"], matrix)
    assert torch.equal(
        checkpoints.unpack(checkpoints.pack({"w": matrix}, "float16"))["w"], matrix.half().float()
    )


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_a_saved_folder_reads_back(tmp_path: Path, storage: Storage) -> None:
    state = {"a.weight": torch.randn(4, 6), "a.bias": torch.randn(4)}
    checkpoints.save(tmp_path / "deep" / "model", state, {"kind": "span"}, storage)
    loaded = checkpoints.load(tmp_path / "deep" / "model")
    expected = checkpoints.unpack(checkpoints.pack(state, storage))
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[n], expected[n]) for n in state)
    assert all(t.dtype == torch.float32 for t in loaded.values())
    assert json.loads((tmp_path / "deep" / "model" / "config.json").read_text()) == {"kind": "span"}
    assert sorted(p.name for p in (tmp_path / "deep" / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_saving_again_replaces_the_weights(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        checkpoints.save(tmp_path, {"w": torch.full((1, 1), value)}, {}, "int8")
    assert checkpoints.load(tmp_path)["w"].item() == 2.0
