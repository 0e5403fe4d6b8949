"""Checkpoints: what stands in the file, and which run may go on from it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ragqa.errors import TrainingError
from ragqa.training.resuming import Checkpoint, Position
from ragqa.training.schedule import Schedule


def checkpoint(**position: Any) -> Checkpoint:
    """One of a run with two weights, an average, and moments of the first alone."""
    values = {
        "step": 3,
        "best": -math.inf,
        "stale": 1,
        "schedule": Schedule().model_dump(),
        "identity": {
            "dropout": 0.1,
            "tuning": {"name": "lora", "alpha": 64},
            "names": ["a"],
            "data": "mine",
            "models": ["mine"],
        },
    }
    weights = {"encoder.w": torch.arange(6.0).view(2, 3).T, "head.b": torch.ones(2)}
    moments = {"encoder.w": {"step": torch.tensor(3.0), "exp_avg": torch.zeros(3, 2)}, "head.b": {}}
    average = {name: weight + 1 for name, weight in weights.items()}
    return Checkpoint(Position(**{**values, **position}), weights, average, moments)


def replaced(**values: Any) -> Checkpoint:
    """One of a run with other settings; None for one that is not given."""
    identity = {**(checkpoint().position.identity or {}), **values}
    return checkpoint(identity={name: value for name, value in identity.items() if value is not None})


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path, written = tmp_path / "last.safetensors", checkpoint(diverged=True)
    written.write(path)
    read = Checkpoint.read(path)
    assert read.position == written.position
    for left, right in (
        (read.weights, written.weights),
        (read.average, written.average),
        (read.moments["encoder.w"], written.moments["encoder.w"]),
    ):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert read.moments.keys() == {"encoder.w"}


def test_the_file_keeps_its_form(tmp_path: Path) -> None:
    """Else no run of an earlier version could go on."""
    path = tmp_path / "last.safetensors"
    checkpoint().write(path)
    with safe_open(path, framework="pt") as stored:
        position = json.loads(stored.metadata()["position"])
    assert load_file(path).keys() == {
        *("weight/encoder.w", "weight/head.b", "average/encoder.w", "average/head.b"),
        *("step/encoder.w", "exp_avg/encoder.w"),
    }
    assert list(position) == ["step", "best", "stale", "schedule", "identity", "diverged"]


@pytest.mark.parametrize("later", [{}, {"more": 1}])
def test_a_checkpoint_of_an_older_or_a_later_version_is_taken(tmp_path: Path, later: dict[str, int]) -> None:
    path, own = tmp_path / "last.safetensors", checkpoint()
    own.write(path)
    schedule = {key: value for key, value in own.position.schedule.items() if key != "average_decay"}
    position = {
        "step": 5,
        "best": 0.5,
        "stale": 0,
        "schedule": schedule,
        **later,
    }  # no identity, not diverged
    save_file(load_file(path), path, {"position": json.dumps(position)})
    found = Checkpoint.read(path)
    found.require_same_run(own, path)
    assert found.position == Position(5, 0.5, 0, schedule, identity=None, diverged=False)


@pytest.mark.parametrize(
    ("changed", "diverged"),
    [({"validate_steps": 7, "checkpoint_minutes": 1.0}, False), ({"learning_rate": 1e-5}, True)],
)
def test_when_to_save_may_change_and_rates_that_led_to_no_number(
    changed: dict[str, Any], diverged: bool
) -> None:
    there, own = checkpoint(diverged=diverged), checkpoint(schedule=Schedule(**changed).model_dump())
    there.require_same_run(own, Path("last"))


@pytest.mark.parametrize(
    ("changed", "diverged", "named"),
    [
        ({"learning_rate": 1e-5}, False, "learning_rate 0.00025 there, 1e-05 here"),
        ({"seed": 4, "epochs": 9}, True, "epochs 2 there, 9 here; seed 13 there, 4 here"),
    ],
)
def test_another_schedule_is_refused_with_all_that_differs(
    changed: dict[str, Any], diverged: bool, named: str
) -> None:
    there, own = checkpoint(diverged=diverged), checkpoint(schedule=Schedule(**changed).model_dump())
    with pytest.raises(TrainingError) as fault:
        there.require_same_run(own, Path("last"))
    assert fault.value.found == f"last was made with another schedule: {named}"


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replaced(dropout=0.2, data="other"), "settings: dropout 0.2 there, 0.1 here"),
        (replaced(data="other", models=["other"]), "data and models"),
        (replaced(data="other"), "data"),
        (replaced(dropout=None), "settings: dropout by default there, 0.1 here"),
        (replaced(layers=3), "settings: layers 3 there, by default here"),
        (
            replaced(tuning={"name": "lora", "rank": 8}),
            "settings: tuning.rank 8 there, by default here; tuning.alpha by default there, 64 here",
        ),
        (replaced(names=[*"abcdefghijk"]), "settings: names ['b', 'c', 'd'] there, [] here"),
        (replace(checkpoint(), weights={}), "weights"),
    ],
)
def test_other_settings_data_models_and_weights_are_refused_by_name(other: Checkpoint, named: str) -> None:
    with pytest.raises(TrainingError) as fault:
        other.require_same_run(checkpoint(), Path("last"))
    assert fault.value.found == f"last was made with other {named}"


def test_a_checkpoint_with_one_digest_of_everything_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint(identity="3f2a").write(path)
    with pytest.raises(TrainingError, match=r"was made with an earlier version of ragqa"):
        Checkpoint.read(path)
