"""Where a network computes while it trains or is judged: on a GPU, where there is one.

On a GPU a network takes its inputs from anywhere and hands its outputs back to the CPU: what stands around it (batches,
losses over scores, measures) is small beside it, and is written once for both.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ragqa.devices import choose_device

Network = TypeVar("Network", bound=nn.Module)


def placed(network: Network) -> Network:
    """``network`` on the GPU, where there is one (see ``devices.choose_device``); otherwise as it is."""
    device = torch.device(choose_device("auto"))
    if device.type == "cpu":
        return network
    network.to(device)
    network.register_forward_pre_hook(
        lambda _, args, named: (moved(args, device), moved(named, device)), with_kwargs=True
    )
    network.register_forward_hook(lambda _, __, outputs: moved(outputs, torch.device("cpu")))
    return network


def moved(value: Any, device: torch.device) -> Any:
    """``value`` with every tensor in it on ``device``."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(one, device) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(moved(one, device) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(moved(getattr(value, field.name), device) for field in fields(value)))
    return value
