"""Tunings side by side on the same questions."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import ModernBertConfig, ModernBertModel

from ragqa.cli.training_view import tuning_lines
from ragqa.errors import PluginError, TrainingError
from ragqa.memory import peak_memory
from ragqa.training import comparing
from ragqa.training.comparing import compare_tunings
from ragqa.training.recording import METRICS, curves
from ragqa.training.schedule import Schedule
from ragqa.training.settings import ReaderRun, RerankerRun, RetrieverRun, Run


def run_of(folder: Path, bert: Path, questions: Path, test_documents: int = 1) -> ReaderRun:
    return ReaderRun(
        data=questions,
        output=folder,
        backbone=str(bert),
        validation_documents=1,
        test_documents=test_documents,
        hard_negatives=0,
        schedule=Schedule(epochs=1, batch_groups=12),
    )


def test_each_tuning_is_measured_on_the_same_test_questions(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    ballast = np.ones(200_000_000)
    found = compare_tunings(
        run_of(tmp_path, tiny_bert, questions), ["full", "bitfit", "lora"], lambda _: None
    )
    full, bitfit, _ = found
    assert [t.name for t in found] == ["full", "bitfit", "lora"]
    assert all(
        50 < t.peak_mb < ballast.nbytes / 1e6 < peak_memory() for t in found
    )  # each has its own memory
    for one in found:
        assert curves(tmp_path / one.name / METRICS)[0]
        size = (one.model / "model.safetensors").stat().st_size  # not also what is exported
        assert one.model_mb == size / 1e6
    assert full.comparison.questions == bitfit.comparison.questions == 6
    assert full.comparison.measures["F1"].before == bitfit.comparison.measures["F1"].before
    assert bitfit.trained_parameters < full.trained_parameters
    assert bitfit.model_mb < full.model_mb
    assert all(t.seconds > 0 and t.model.is_dir() for t in found)
    lines = tuning_lines(found)
    assert len(lines) == 6
    assert lines[2].startswith("before ")
    assert lines[3].startswith("full ")


@pytest.mark.parametrize("kind", [RetrieverRun, RerankerRun])
def test_other_targets_are_compared_by_their_own_measures(
    tmp_path: Path, tiny_bert: Path, questions: Path, kind: type[Run]
) -> None:
    values = {
        "data": questions,
        "output": tmp_path,
        "backbone": str(tiny_bert),
        "validation_documents": 1,
        "test_documents": 1,
        "schedule": {"epochs": 1, "batch_groups": 12},
    }
    found = compare_tunings(kind.model_validate(values), ["full", "bitfit"], lambda _: None)
    assert [t.comparison.questions for t in found] == [6, 6]
    assert all(t.model_mb > 0 for t in found)
    columns = tuning_lines(found)[1]
    assert "nDCG@10" in columns
    assert "recall@1" in columns


def test_without_test_documents_or_with_an_unknown_name_nothing_is_trained(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    with pytest.raises(TrainingError, match="nothing to compare"):
        compare_tunings(run_of(tmp_path, tiny_bert, questions, 0), ["full"], lambda _: None)
    with pytest.raises(PluginError, match="lorra"):
        compare_tunings(run_of(tmp_path, tiny_bert, questions), ["full", "lorra"], lambda _: None)
    with pytest.raises(TrainingError, match="no tuning is named"):
        compare_tunings(run_of(tmp_path, tiny_bert, questions), [], lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_tuning_that_does_not_fit_the_other_settings_is_left_out(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = run_of(tmp_path, tiny_bert, questions).changed(layers=1)
    said: list[dict[str, Any]] = []
    (full,) = compare_tunings(run, ["full", "lora"], said.append)
    assert full.name == "full"
    (told,) = [values for values in said if values["tuning"] == "lora"]
    assert told["left out"].startswith("layers is for tuning full, not for lora: the base has all of them")


def test_tunings_that_the_encoder_cannot_take_are_left_out(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ModernBERT has no biases, and layers that the adapter does not know."""
    folder = tmp_path / "modern"
    config = ModernBertConfig(
        vocab_size=200,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=384,
        pad_token_id=0,
    )
    ModernBertModel(config).save_pretrained(folder)
    shutil.copy(tiny_bert / "tokenizer.json", folder)
    monkeypatch.setattr(comparing, "_in_own_process", comparing._tuned)  # nobody measures memory here
    said: list[dict[str, Any]] = []
    run = run_of(tmp_path / "runs", folder, questions)
    (full,) = compare_tunings(run, ["bitfit", "adapter", "full"], said.append)
    assert full.name == "full"
    assert [(r["tuning"], r["left out"]) for r in said if "left out" in r] == [
        ("bitfit", "tuning bitfit: this encoder has no biases"),
        ("adapter", "tuning adapter: the layers of this encoder are not known"),
    ]


def test_a_tuning_whose_process_dies_is_left_out(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    said: list[dict[str, Any]] = []

    def out_of_memory(values: dict[str, Any]) -> None:
        said.append(values)
        if values["tuning"] == "full" and "left out" not in values:
            (child,) = multiprocessing.active_children()
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)

    (bitfit,) = compare_tunings(run_of(tmp_path, tiny_bert, questions), ["full", "bitfit"], out_of_memory)
    assert bitfit.name == "bitfit"
    assert {
        "tuning": "full",
        "left out": "the process that trained full was ended by signal 9",
    } in said
    assert not multiprocessing.active_children()
