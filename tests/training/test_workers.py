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
        # Not Adam, which hides a factor of all gradients, and makes steps of what is zero but for rounding.
        "schedule": {
            "optimizer": "sgd",
            "epochs": 6,
            "batch_groups": 11,
            "learning_rate": 0.05,
            "head_learning_rate": 0.05,
            "validate_steps": 9,
            "patience": None,
        },
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


_IN_FLOAT32 = """
import torch
from ragqa import devices
from ragqa.cli import main

torch.set_num_threads(1)
devices.choose_precision = lambda *_: "f32"
main()
"""

_SUMMED = """
import os
import torch
from torch import nn
from ragqa.training.workers import together

with together() as workers:
    both, one, none = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.tensor([1.0, 10.0]) * (workers.rank + 1)
    if workers.first:
        one.grad = torch.ones(2)
    workers.sum_gradients([both, one, none])
    found = [parameter.grad.tolist() for parameter in (both, one, none)]
    line = f"{found} {workers.sum(workers.rank + 0.5)} {workers.from_first(workers.rank + 7.0)}\\n"
    os.write(1, line.encode())  # in one piece: print of two processes may mix
"""


def started(folder: Path, processes: int, *command: str) -> subprocess.CompletedProcess[str]:
    """What ``python command`` did, in so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    whole = [sys.executable, *(launcher if processes > 1 else []), *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAGQA_DEVICE": "cpu"}
    return subprocess.run(whole, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def losses(folder: Path) -> list[float]:
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [values["loss"] for line in lines if "loss" in (values := json.loads(line))]


def test_the_loss_curve_and_the_weights_of_two_processes_are_those_of_one(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        path = described(folder, tiny_bert, questions, dropout=0.0, storage="float32")
        command = (script(folder, _IN_FLOAT32), "finetune", "reader", "--config", str(path))
        done = started(folder, processes, *command)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("use it with") == 1
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert len(one) == len(two) > 10
    assert two == pytest.approx(one, rel=1e-4, abs=2e-4)  # they are told to four digits
    assert one[-1] < 0.85 * one[0]
    for name in ("last.safetensors", "model/model.safetensors"):
        alone, together = (checkpoints.load_tensors(tmp_path / n / "run" / name) for n in "12")
        assert alone.keys() == together.keys()
        for key, weight in alone.items():
            assert torch.allclose(together[key], weight, rtol=1e-3, atol=1e-5), (name, key)


def test_gradients_are_summed_and_one_that_is_missing_counts_as_zeros(tmp_path: Path) -> None:
    done = started(tmp_path, 2, script(tmp_path, _SUMMED))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[[3.0, 30.0], [1.0, 1.0], [0.0, 0.0]] 2.0 7.0"] * 2


def test_both_sides_of_a_retriever_need_one_process(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    path = tmp_path / "run.yaml"
    values = {"data": str(questions), "backbone": str(tiny_bert), "both_sides": True, "test_documents": 0}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = started(tmp_path, 2, "-m", "ragqa", "finetune", "retriever", "--config", str(path))
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
