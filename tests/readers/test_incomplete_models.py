"""Folders of language models that lack something: one line names what, and nothing is drawn at random in its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragqa.errors import ModelError
from ragqa.readers.generative import GenerativeReader
from ragqa.types import Hit, Passage, Query


def without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def cut(name: str, size: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:size])

    return change


def holding(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return change


def configured(**more: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shutil.rmtree, "there is no model folder"),
        (without("config.json"), "holds no model"),
        (holding("config.json", "{"), r"config.json cannot be read"),
        (holding("config.json", "[]"), r"config.json cannot be read"),
        (without("model.safetensors"), "has no safetensors weights"),
        (cut("model.safetensors", 0), "the weights in .* are damaged"),
        (cut("model.safetensors", 20_000), "the weights in .* are damaged"),
        (configured(hidden_size=32), r"are not those of its config.json"),
        (configured(num_hidden_layers=3), r"lacks weights .*: model.layers.2.* and 8 more"),
        (configured(architectures=["LlamaModel"]), "holds no model that writes"),
        (without("tokenizer.json", "tokenizer_config.json"), "has no tokenizer"),
        (cut("tokenizer.json", 500), "has no tokenizer"),
        (holding("tokenizer_config.json", "{}"), "no token that ends a text"),
        (holding("chat_template.jinja", "{% for %}"), "chat template: "),
        (holding("chat_template.jinja", "{{ raise_exception('no users') }}"), "chat template: no users"),
    ],
)
def test_what_a_model_folder_lacks_is_one_line(
    talk: Any, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(talk.model, folder)
    change(folder)
    text = talk.documents["bridge.md"]
    with pytest.raises(ModelError, match=said) as caught:
        GenerativeReader(model=str(folder)).read(
            [Query("Who?")], [[Hit(Passage("bridge.md", 0, len(text), text), 1.0)]]
        )
    assert "\n" not in str(caught.value)
