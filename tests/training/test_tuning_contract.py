"""What each tuning trains of each target, to the weight; a new target or tuning must be enrolled in these tables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.training.conftest import paragraph
from torch import nn
from transformers import AutoModel

from ragqa import plugins
from ragqa.errors import ConfigError, TrainingError
from ragqa.training.run import prepare
from ragqa.training.run_files import load_run
from ragqa.training.settings import RUNS
from ragqa.types import Example, Passage, Query

WORDS = "encoder.embeddings.word_embeddings.weight"
OUTPUTS = ("encoder.layer.0.attention.output.dense", "encoder.layer.0.output.dense")


def _all(encoder: nn.Module) -> set[str]:
    return {f"encoder.{name}" for name, _ in encoder.named_parameters()}


def _bottlenecks(encoder: nn.Module) -> set[str]:
    parts = {f"{part}.{kind}" for part in ("down", "up") for kind in ("weight", "bias")}
    added = {f"encoder.{place}.1.{part}" for place in OUTPUTS for part in parts}
    return added | {name for name in _all(encoder) if "LayerNorm" in name}


def _updates(encoder: nn.Module) -> set[str]:
    linear = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    return {f"encoder.base_model.model.{name}.lora_{part}.default.weight" for name in linear for part in "AB"}


TRAINS: Mapping[str, Callable[[nn.Module], set[str]]] = {
    "full": _all,
    "lora": _updates,
    "adapter": _bottlenecks,
    "bitfit": lambda encoder: {name for name in _all(encoder) if name.endswith(".bias")},
    "prompt": lambda _: {"encoder.prompt"},
}
"""Tuning → the weights that train of the tiny BERT, as docs/training.md says."""

FRESH = {"start_from": None}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "reader": {"hard_negatives": 0},
    "retriever": {},
    "retriever of both sides": {"both_sides": True},
    "reranker": FRESH,
    "generator": {**FRESH, "decoder_layers": 1, "passages": 1, "unanswerable_share": 0.0},
    "choice": {**FRESH, "options": 3},
    "choice that reads a passage once": {**FRESH, "options": 3, "passage_once": True},
    "pretrain": {},
}
"""Target, and what it may be told that changes the model or how it is stored."""

UNFOLDED = "adds cannot be folded into a backbone; accepted: full, lora, bitfit"
REFUSED: Mapping[tuple[str, str], str] = {
    ("pretrain", "adapter"): f"what adapter {UNFOLDED}",
    ("pretrain", "prompt"): f"what prompt {UNFOLDED}",
    ("choice that reads a passage once", "prompt"): "passage_once is not for tuning prompt",
}


def test_every_target_and_every_tuning_is_in_the_tables() -> None:
    assert {name.split()[0] for name in SETTINGS} == set(RUNS)
    assert set(TRAINS) == set(plugins.names("tuning"))
    assert set(REFUSED) <= {(name, tuning) for name in SETTINGS for tuning in TRAINS}


@pytest.fixture
def described(tmp_path: Path, tiny_bert: Path, questions: Path) -> Callable[[str, str], Path]:
    """The file of a run that trains a target with a tuning; it searches without a model."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text("The walrus lives in the harbour.\n", encoding="utf-8")
    (tmp_path / "search.yaml").write_text("encoder: {name: hashing}\n", encoding="utf-8")

    def describe(name: str, tuning: str) -> Path:
        values: dict[str, Any] = {
            "data": str(tmp_path / "docs" if name == "pretrain" else questions),
            "output": str(tmp_path / "run"),
            "backbone": str(tiny_bert),
            "tuning": tuning,
            "validation_documents": 1,
            "test_documents": 0,
            "schedule": {"epochs": 1, "batch_groups": 12},
            **SETTINGS[name],
        }
        if name == "reranker":
            values["mining"] = {"retriever": "hybrid", "config": str(tmp_path / "search.yaml")}
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return describe


def passages(*_: Any) -> list[Example]:
    """What ``pretrain`` would read, without the process that reads it."""
    found = []
    for document in range(6):
        for number in range(6):
            text = paragraph(document, number)
            passage = Passage(f"notes {document}", 100 * number, 100 * number + len(text), text)
            found.append(Example(Query("", id=passage.id), positives=(passage,)))
    return found


@pytest.mark.parametrize("tuning", TRAINS)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_tuning_trains_exactly_its_weights_and_the_head_or_is_refused_by_name(
    name: str,
    tuning: str,
    described: Callable[[str, str], Path],
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ragqa.training.targets.pretrain.examples", passages)
    path, kind = described(name, tuning), RUNS[name.split()[0]]
    if (name, tuning) in REFUSED:
        with pytest.raises((ConfigError, TrainingError), match=REFUSED[name, tuning]):
            prepare(load_run(path, kind), lambda _: None)
        return
    run = load_run(path, kind)
    prepared = prepare(run, lambda _: None)
    weights = dict(prepared.trainer.model.named_parameters())
    head = {weight for weight in weights if not weight.startswith("encoder.")}
    expected = TRAINS[tuning](AutoModel.from_pretrained(tiny_bert, add_pooling_layer=False))
    if "word_embeddings" in run.freeze:
        expected.discard(WORDS)
    assert {weight for weight, value in weights.items() if value.requires_grad} == expected | head
    assert prepared.trainer.weights.state().keys() == expected | head
    assert bool(head) is (kind.target != "retriever")
