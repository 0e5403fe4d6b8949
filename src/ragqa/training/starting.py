"""Where a model begins, and how it is stored: the same for every target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ragqa import backbone, checkpoints, plugins, pretrained
from ragqa.errors import TrainingError
from ragqa.models.headed import LAYERS, Headed
from ragqa.models.loading import overlay
from ragqa.protocols import Tuning
from ragqa.training.layers import renumbered
from ragqa.training.settings import HeadedRun, Run

PEFT = "peft"
"""Beside the weights: what was trained in peft's format and, unless that is the backbone alone, what it stands on."""

Model = TypeVar("Model", bound=Headed)


def initial(kind: type[Model], run: HeadedRun, **shape: Any) -> tuple[Model, Mapping[str, Tensor]]:
    """The model that training begins with, and the tensors in which it differs from its backbone.

    Args:
        shape: what else a fresh model needs to know; one that goes on from another of its kind has that one's.

    Raises:
        TrainingError: the model to go on from has another backbone, or only adds to a third.
    """
    folder = backbone.resolve(run.backbone)
    before = earlier(run)
    if before is not None and goes_on(kind, run):
        shape = kind.shape_of(before)
    model = kind.from_backbone(folder, run.dropout, **shape)
    if before is None:
        if run.layers is not None:
            model.keep_layers(run.layers)
        return model, {}
    if pretrained.backbone_of(before) != folder:
        raise TrainingError(
            f"the model {run.start_from} stands on {pretrained.backbone_of(before)}, not on {folder}",
            accepted="one of the same backbone",
            next_step="set backbone to that of the model, or leave start_from out",
        )
    config = pretrained.stored_config(before)
    if "tuning" in config:
        raise TrainingError(
            f"the model {run.start_from} only adds {config['tuning']['name']} to another one",
            accepted="one that was trained in full",
            next_step=f"go on from {config.get('base', {}).get('model', 'the backbone')}",
        )
    tensors = kind.tensors_of(before)
    if LAYERS in config:
        model.keep_layers(int(config[LAYERS]))
    overlay(model, tensors, before)
    if run.layers is not None:
        tensors = renumbered(tensors, model.keep_layers(run.layers))
    return model, tensors


def goes_on(kind: type[Headed], run: HeadedRun) -> bool:
    """Whether the model that training begins with has been trained for the same task."""
    before = earlier(run)
    return before is not None and pretrained.stored_config(before).get("kind") == kind.kind


def earlier(run: HeadedRun) -> Path | None:
    """The model to go on from; the shipped reader's encoder serves only on its own backbone."""
    if run.start_from is None:
        return None
    folder = pretrained.folder_of(run.target, run.start_from)
    if run.start_from == "reader" and pretrained.backbone_of(folder) != backbone.resolve(run.backbone):
        return None
    return folder


def before(kind: type[Headed], run: HeadedRun) -> Path:
    """The model that the trained one is compared with: the one it goes on from, or the shipped one."""
    return pretrained.folder_of(run.target, (run.start_from if goes_on(kind, run) else None) or "builtin")


def lay_over(run: Run, model: Any, tensors: Mapping[str, Tensor], target: Path) -> Tuning:
    """Put the trained ``tensors`` of ``run`` into an untuned ``model``, its tuning still beside the weights."""
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    tuning.apply(model)
    overlay(model, tensors, target)
    return tuning


def store(
    kind: type[Headed],
    run: HeadedRun,
    start: Mapping[str, Tensor],
    target: Path,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, float],
) -> None:
    """The trained tensors: full tuning stores a whole model, the others what they add and to which one."""
    config: dict[str, Any] = {"kind": kind.kind, "backbone": backbone.lasting_name(run.backbone), **facts}
    layers = run.layers
    if layers is None and (before := earlier(run)) is not None:
        layers = pretrained.stored_config(before).get(LAYERS)
    if layers is not None:
        config[LAYERS] = layers
    if run.tuning.name == "full":
        # What this run froze but the earlier one had trained belongs to the model, too.
        checkpoints.save(target, {**start, **tensors}, config, run.stored_as)
        return
    config["tuning"] = run.tuning.options()
    folder = earlier(run)
    if folder is not None:
        start_from = str(run.start_from)
        named = start_from if start_from in pretrained.SHIPPED else str(folder.resolve())
        digest = pretrained.base_digest(folder)
        config["base"] = {"target": run.target, "model": named, "digest": digest}
    checkpoints.save(target, tensors, config, run.stored_as)
    model, tuning = kind.stored(target)
    tuning.export(model, target / PEFT)
    if folder is not None and (target / PEFT).is_dir():
        # What was trained stands on that model, which no other library loads from our own format.
        kind.beneath(target).encoder.half().save_pretrained(target / PEFT / "base")
