"""The mean of several models, and what cannot be merged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ragqa import checkpoints, pretrained
from ragqa.errors import ModelError, TrainingError
from ragqa.models.choice import ChoiceModel
from ragqa.training.merging import merge


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> tuple[Path, Path]:
    """Two choice models on one backbone, with a temperature each."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = ChoiceModel.from_backbone(tiny_bert, 0.0)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        folder = tmp_path_factory.mktemp("models") / f"model {seed}"
        config = {"kind": "choice", "backbone": str(tiny_bert), "best_validation_accuracy": seed / 10}
        checkpoints.save(folder, model.state_dict(), config, "float32")
        (folder / "temperature.json").write_text(json.dumps({"temperature": float(seed)}))
        folders.append(folder)
    return folders[0], folders[1]


def test_every_tensor_is_the_mean_and_what_was_fitted_is_the_first_ones(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = merge("choice", [str(one) for one in two], tmp_path / "both")
    first, second = (checkpoints.load(one) for one in two)
    for name, tensor in ChoiceModel.load(folder).state_dict().items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2, atol=2e-3, rtol=2e-3)
    assert pretrained.read_temperature(folder) == 1.0
    assert "best_validation_accuracy" not in pretrained.stored_config(folder)
    same = merge("choice", [str(two[0])] * 2, tmp_path / "same")
    for name, tensor in checkpoints.load(same).items():
        torch.testing.assert_close(tensor, first[name], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"passage_once": True}, "differ in passage_once"),
        ({"backbone": "builtin"}, "differ in backbone"),
        ({"tuning": {"name": "lora"}}, "is no model of its own"),
    ],
)
def test_what_differs_in_more_than_weights_is_refused(
    two: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(two[1], other)
    config = {**pretrained.stored_config(other), **change}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match=says):
        merge("choice", [str(two[0]), str(other)], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_one_model_a_missing_one_and_one_that_would_be_lost_are_refused(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="1 models; accepted: two or more"):
        merge("choice", [str(two[0])], tmp_path)
    with pytest.raises(ModelError, match="holds no choice"):
        merge("choice", [str(two[0]), str(tmp_path / "none")], tmp_path)
    kept = merge("choice", [str(one) for one in two], tmp_path / "run")
    with pytest.raises(TrainingError, match="would be overwritten"):
        merge("choice", [str(kept), str(two[0])], tmp_path / "run")
