"""The mean of several trained models: one model, as fast as each (Wortsman et al. 2022, arXiv:2203.05482).

Models that began with the same backbone and learned the same task, or tasks alike, often lie in one valley of the loss,
and between them is a model that has something of each; it is a good place to go on from.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from ragqa import checkpoints, durable, pretrained
from ragqa.errors import TrainingError
from ragqa.training.run_folder import MODEL, RESOLVED, disk_named, require_own


def merge(target: str, models: Sequence[str], output: Path) -> Path:
    """Write the mean of ``models`` for ``target`` to ``output/model``, in float16, and return that folder.

    What was fitted beside the weights (a reader's calibration, say) is that of the first.

    Raises:
        ModelError: one of them is not there.
        TrainingError: fewer than two, or they differ in more than their weights.
    """
    if len(models) < 2:
        raise TrainingError(f"{len(models)} models", accepted="two or more of one kind")
    folders = [pretrained.folder_of(target, model) for model in models]
    require_own(output, [str(folder) for folder in folders])
    configs = [_shape(folder) for folder in folders]
    tensors = [checkpoints.load(folder) for folder in folders]
    for name, config, mine in zip(models[1:], configs[1:], tensors[1:], strict=True):
        differing = [key for key in {*config, *configs[0]} if config.get(key) != configs[0].get(key)]
        if differing or mine.keys() != tensors[0].keys():
            what = min(differing, default="the tensors that were trained")
            raise TrainingError(
                f"{models[0]} and {name} differ in {what}",
                accepted="models of one kind on one backbone, of which the same part was trained",
            )
    folder = output / MODEL
    mean = {name: torch.stack([mine[name] for mine in tensors]).mean(0) for name in tensors[0]}
    with disk_named(output), durable.whole_folder(folder) as partial:
        checkpoints.save(partial, mean, configs[0], "float16")
        for beside in folders[0].glob("*.json"):
            if beside.name not in ("config.json", RESOLVED, "classes.json"):
                (partial / beside.name).write_bytes(beside.read_bytes())
    return folder


def _shape(folder: Path) -> dict[str, object]:
    """What ``config.json`` says of the model, without what was only measured of it.

    Raises:
        TrainingError: it only adds to another model, or is one of transformers.
    """
    config = {
        key: value for key, value in pretrained.stored_config(folder).items() if not key.startswith("best_")
    }
    if pretrained.is_huggingface(folder) or "base" in config or "tuning" in config:
        raise TrainingError(f"{folder} is no model of its own", accepted="models of ours, trained in full")
    return config
