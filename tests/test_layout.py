"""What model folders say about themselves, in the spellings that published folders use."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ragqa.backbone import builtin_path
from ragqa.errors import ModelError
from ragqa.layout import read_layout


def folder(tmp_path: Path, files: Mapping[str, Any]) -> Path:
    """A model folder with JSON files; the tokenizer's content does not matter here."""
    defaults = {"config.json": {"hidden_size": 8, "max_position_embeddings": 64}, "tokenizer.json": {}}
    for name, content in {**defaults, **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def pooled(pooling: Mapping[str, Any], *more: str) -> dict[str, Any]:
    kinds = ["Transformer", "Pooling", *more]
    places = ["", "1_Pooling", *(f"{n}_More" for n in range(2, len(kinds)))]
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": place}
        for kind, place in zip(kinds, places, strict=True)
    ]
    return {"modules.json": modules, "1_Pooling/config.json": pooling}


def test_the_builtin_averages_384_dimensions() -> None:
    layout = read_layout(builtin_path())
    assert (layout.pooling, layout.dimension, layout.max_tokens) == ("mean", 384, 512)
    assert (layout.query_prompt, layout.passage_prompt) == ("", "")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls", "embedding_dimension": 8}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_old_and_new_pooling_files_are_understood(
    tmp_path: Path, pooling: Mapping[str, Any], expected: str
) -> None:
    assert read_layout(folder(tmp_path, pooled(pooling, "Normalize"))).pooling == expected


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode": ["cls", "mean"]},
        {"pooling_mode": "mean", "include_prompt": False},
        {"pooling_mode_mean_tokens": False},
    ],
)
def test_pooling_that_is_not_served_is_refused(tmp_path: Path, pooling: Mapping[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"is not served; accepted: mean, cls"):
        read_layout(folder(tmp_path, pooled(pooling)))


def test_a_module_that_is_not_served_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="module Dense is not served"):
        read_layout(folder(tmp_path, pooled({"pooling_mode": "mean"}, "Dense")))


def test_prompts_and_positions_are_read(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}}
    config = {"hidden_size": 8, "max_position_embeddings": 514, "model_type": "xlm-roberta"}
    layout = read_layout(
        folder(tmp_path, {"config_sentence_transformers.json": prompts, "config.json": config})
    )
    assert (layout.query_prompt, layout.passage_prompt, layout.max_tokens) == ("query: ", "passage: ", 512)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    place = folder(tmp_path, {})
    (place / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json.*save_pretrained"):
        read_layout(place)
    (place / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        read_layout(place)
