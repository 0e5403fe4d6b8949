"""A trained encoder as a whole folder that transformers and sentence-transformers load unchanged."""

import shutil
from pathlib import Path
from typing import Any

from ragqa.layout import read_layout
from ragqa.models.loading import load_transformer
from ragqa.training.starting import PEFT

_WEIGHTS = ("*.safetensors", "*.bin", "*.onnx", "*.h5", "README.md", "openvino", "onnx", PEFT)


def store_whole(encoder: Any, source: Path, target: Path) -> None:
    """Write ``encoder``, with nothing beside its weights, and what else stands in the folder ``source`` of it."""
    layout = read_layout(source)
    whole = load_transformer(layout.transformer, attention="eager", pooler=True)
    unexpected = whole.load_state_dict(encoder.state_dict(), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"{unexpected[0]} stands beside the weights of {source}")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_WEIGHTS), dirs_exist_ok=True)
    whole.save_pretrained(target / layout.transformer.relative_to(source))
