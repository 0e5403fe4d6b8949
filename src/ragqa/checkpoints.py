"""Trained tensors on disk: ``model.safetensors`` + ``config.json``, small enough to ship.

Only tensors that training changed are stored; the rest comes from the backbone that ``config.json`` names.
Matrices may be stored as int8 with one scale a row (symmetric, w ≈ q · s with s = max|w| / 127), which takes
half the space of float16.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ragqa import durable
from ragqa.protocols import Storage

_SCALE = ".row_scale"


def pack(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Tensors as they are stored; vectors (biases, norms) stay float32."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        value = tensor.detach().float().contiguous()
        if value.ndim < 2 or storage == "float32":
            packed[name] = value
        elif storage == "float16":
            packed[name] = value.half()
        else:
            scale = (value.abs().amax(1, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            packed[name] = (value / scale).round().to(torch.int8)
            packed[name + _SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 tensors by name, whatever they were stored as."""
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALE):
            continue
        value = tensor.float()
        state[name] = value * packed[name + _SCALE] if name + _SCALE in packed else value
    return state


def save(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any], storage: Storage) -> None:
    """Write weights and configuration into ``folder``; the weights appear last, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config), indent=1) + "\n", encoding="utf-8")
    with durable.whole(folder / "model.safetensors") as partial:
        save_file(pack(state, storage), partial)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The float32 tensors of one safetensors file."""
    return unpack(load_file(path))


def load(folder: Path) -> dict[str, Tensor]:
    """The trained tensors in ``folder`` as float32, by name."""
    return load_tensors(folder / "model.safetensors")
