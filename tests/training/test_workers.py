"""Two processes under torchrun learn what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from ragqa import checkpoints
from ragqa.errors import TrainingError
from ragqa.training.workers import Workers


def described(folder: Path, bert: Path, questions: Path, **more: Any) -> Path:
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "validation_documents": 1,
        "test_documents": 0,
        "hard_negatives": 0,
        "schedule": {
            "epochs": 6,
            "batch_groups": 11,
            "learning_rate": 3e-3,
            "validate_steps": 9,
            "patience": None,
        },
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def trained(
    folder: Path, path: Path, processes: int, target: str = "reader"
) -> subprocess.CompletedProcess[str]:
    command = ["-m", "ragqa", "finetune", target, "--config", str(path)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [*launcher, *command]
    else:
        alone = "import torch; torch.set_num_threads(1); from ragqa.cli import main; main()"
        command = ["-c", alone, *command[2:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def losses(folder: Path) -> list[float]:
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [values["loss"] for line in lines if "loss" in (values := json.loads(line))]


def test_the_loss_curve_of_two_processes_is_that_of_one(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        done = trained(folder, described(folder, tiny_bert, questions), processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("use it with") == 1
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert len(one) == len(two) > 10
    # Sums of bfloat16 gradients in another order differ a little, and the difference grows with the steps.
    assert two == pytest.approx(one, rel=0.05, abs=0.05)
    assert one[-1] < 0.85 * one[0]
    weights = [checkpoints.load(tmp_path / name / "run" / "model") for name in ("1", "2")]
    assert weights[0].keys() == weights[1].keys()


def test_both_sides_of_a_retriever_need_one_process(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    path = tmp_path / "run.yaml"
    values = {"data": str(questions), "backbone": str(tiny_bert), "both_sides": True, "test_documents": 0}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = trained(tmp_path, path, 2, "retriever")
    assert done.returncode != 0
    assert "both sides of a retriever are trained in one process" in done.stderr


def test_what_one_process_has_to_do_is_refused_to_several() -> None:
    Workers().refuse("this is done")
    with pytest.raises(
        TrainingError, match="this is done in one process, and here are 2; accepted: the same"
    ):
        Workers(1, 2).refuse("this is done")


def test_parts_hold_every_group_once() -> None:
    groups = list(range(11))
    parts = [Workers(rank, 3).part(groups) for rank in range(3)]
    assert sorted(number for part in parts for number in part) == groups
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Workers.joined()
    assert (alone.first, alone.count) == (True, 1)
    parameter = nn.Parameter(torch.ones(2))
    alone.sum_gradients([parameter])
    assert parameter.grad is None
    assert alone.sum(1.5) == alone.from_first(1.5) == 1.5
    assert not torch.distributed.is_initialized()
