"""The processes that ``torchrun`` started: each reads its part of every batch, and all keep the same weights."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ragqa.devices import choose_device
from ragqa.errors import TrainingError

Value = TypeVar("Value")


def _backend() -> str:
    """What the processes talk through; with GPUs each process takes the one of its number for its own."""
    if choose_device("auto") == "cpu":
        return "gloo"
    rank, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= devices:
        raise TrainingError(
            f"process {rank + 1} on this machine has no GPU: there are {devices}",
            accepted=f"torchrun --nproc-per-node {devices} at most",
            next_step="RAGQA_DEVICE=cpu to train on the CPU",
        )
    torch.cuda.set_device(rank)
    return "cpu:gloo,cuda:nccl"


@dataclass(frozen=True, slots=True)
class Workers:
    """Number ``rank`` of ``count`` processes; one process alone needs no network and joins nothing."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Workers":
        """Those that the environment of ``torchrun`` tells of, joined by gloo, and by NCCL where each has a GPU.

        Raises:
            TrainingError: there are GPUs, but fewer than processes on this machine.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count < 2:
            return cls()
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group(_backend())
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def refuse(self, what: str, accepted: str = "the same command without torchrun") -> None:
        """Refuse several processes where one has to do it all.

        Raises:
            TrainingError: there are several.
        """
        if self.count > 1:
            raise TrainingError(f"{what} in one process, and here are {self.count}", accepted=accepted)

    @property
    def first(self) -> bool:
        """Whether this process writes, reports and validates."""
        return self.rank == 0

    def voice(self, report: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        """``report`` for the first process; the others say nothing."""
        return report if self.first else lambda _: None

    def part(self, groups: Sequence[Value]) -> Sequence[Value]:
        """Every ``count``-th group: parts of like size, with groups of like lengths."""
        return groups[self.rank :: self.count]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by the sum over all processes; one that is missing counts as zeros."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)

    def sum(self, value: float) -> float:
        """The sum over all processes."""
        if self.count == 1:
            return value
        return self._reduced(torch.tensor(value, dtype=torch.float64))

    def from_first(self, value: float) -> float:
        """What the first process says, whatever the others gave."""
        return self.sum(value if self.first else 0.0)

    @staticmethod
    def _reduced(value: Tensor) -> float:
        torch.distributed.all_reduce(value)
        return float(value)


@contextmanager
def together() -> Iterator[Workers]:
    """The processes, until all is done: threads that ran on would now and then end this one with SIGABRT.

    After a fault they do not part: the others may wait in a sum, and so would this one.
    """
    yield Workers.joined()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
