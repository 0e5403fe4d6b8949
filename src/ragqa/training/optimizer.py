"""The optimizer of a run, with the learning rate and the weight decay of each weight."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ragqa.training.layers import depth, rate_factor
from ragqa.training.schedule import Schedule


def optimizer_of(
    model: nn.Module, weights: Mapping[str, Tensor], schedule: Schedule
) -> torch.optim.Optimizer:
    """AdamW or SGD for ``weights``, by their names in ``model``; each group keeps its whole rate as ``base_lr``."""
    groups = _groups(weights, depth(model), schedule)
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, fused=True)


def _groups(
    weights: Mapping[str, Tensor], layers: Mapping[str, int], schedule: Schedule
) -> list[dict[str, Any]]:
    """No weight decay on biases and norms; a fresh head learns faster than the pretrained encoder."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in weights.items():
        rate = schedule.head_learning_rate if name.startswith("head.") else schedule.learning_rate
        rate *= rate_factor(name, layers, schedule.layer_rate_decay)
        decay = schedule.weight_decay if weight.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(weight)
    return [
        {"params": params, "lr": rate, "base_lr": rate, "weight_decay": decay}
        for (rate, decay), params in groups.items()
    ]
