"""What a Hugging Face or sentence-transformers folder says about its encoder; reads JSON files only."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragqa.errors import ModelError
from ragqa.pretrained import backbone_of, is_huggingface

POOLINGS = ("mean", "cls")

_LEGACY_POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
"""Architectures whose first two position embeddings belong to padding."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an encoder turns a text into a vector.

    ``max_tokens`` is the longest input, special tokens included. The prompts are written before each text.
    """

    transformer: Path
    pooling: str
    dimension: int
    max_tokens: int
    query_prompt: str = ""
    passage_prompt: str = ""

    @property
    def tokenizer(self) -> Path:
        return self.transformer / "tokenizer.json"


def read_layout(folder: Path) -> Layout:
    """The layout of the encoder in ``folder``; without ``modules.json`` token vectors are averaged.

    A model of ours, which only adds to a backbone, has the backbone's.

    Raises:
        ModelError: a file is missing or broken, or the model needs a module that is not served here.
    """
    if not is_huggingface(folder):
        folder = backbone_of(folder)
    modules = _json(folder / "modules.json") if (folder / "modules.json").is_file() else []
    transformer, pooling = folder, "mean"
    for module in modules:
        match module["type"].rpartition(".")[2]:
            case "Transformer":
                transformer = folder / module["path"]
            case "Pooling":
                pooling = _pooling(folder / module["path"] / "config.json")
            case "Normalize":
                pass  # every vector is normalised, as ``protocols.Encoder`` promises
            case other:
                raise ModelError(
                    f"{folder}: module {other} is not served", accepted="Transformer, Pooling, Normalize"
                )
    config = _json(transformer / "config.json")
    if not (transformer / "tokenizer.json").is_file():
        raise ModelError(
            f"{transformer} has no tokenizer.json",
            next_step="save it with AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)",
        )
    prompts = _prompts(folder)
    return Layout(
        transformer=transformer,
        pooling=pooling,
        dimension=int(config.get("hidden_size") or config["dim"]),
        max_tokens=_max_tokens(config),
        query_prompt=prompts.get("query", ""),
        passage_prompt=prompts.get("document", prompts.get("passage", "")),
    )


def _pooling(path: Path) -> str:
    config = _json(path)
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else named
    if modes is None:
        modes = [
            _LEGACY_POOLING.get(k, k)
            for k, on in config.items()
            if k.startswith("pooling_mode_") and on is True
        ]
    if len(modes) != 1 or modes[0] not in POOLINGS or not config.get("include_prompt", True):
        raise ModelError(
            f"{path}: pooling {', '.join(map(str, modes)) or 'none'} is not served", accepted="mean, cls"
        )
    return str(modes[0])


def _max_tokens(config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or 2**31)
    return positions - 2 if config.get("model_type") in _OFFSET_POSITIONS else positions


def _prompts(folder: Path) -> dict[str, str]:
    path = folder / "config_sentence_transformers.json"
    config = _json(path) if path.is_file() else {}
    return {name: text for name, text in (config.get("prompts") or {}).items() if text}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
