"""What a run that was cut goes on from: the checkpoint in ``last.safetensors``, and whether it is of the same run."""

import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ragqa import durable
from ragqa.errors import TrainingError
from ragqa.training.run_folder import RATES, position_of
from ragqa.training.schedule import Schedule

FREE = frozenset({"checkpoint_minutes", "validate_steps"})
"""What may change on the way: when to save and to validate."""

_DIGESTS = ("data", "models")
"""What of the identity of a run nobody could read."""

_DEFAULT = "by default"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run is, and which run it is.

    Attributes:
        identity: each setting that is not the default, and digests of ``data`` and ``models``; or nothing at all.
        diverged: whether the loss of the next step is no number.
    """

    step: int
    best: float
    stale: int
    schedule: Mapping[str, Any]
    identity: Mapping[str, Any] | None = None
    diverged: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the steps to come depend on besides the examples; tensors by the names of their weights.

    ``average`` is empty where there is none; ``moments`` are what the optimizer keeps of each weight, by their kind.
    """

    position: Position
    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    moments: Mapping[str, Mapping[str, Tensor]]

    def write(self, path: Path) -> None:
        """Replace what is at ``path`` in one rename."""
        tensors = {f"weight/{name}": tensor for name, tensor in self.weights.items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.items()}
        for name, moments in self.moments.items():
            tensors |= {f"{kind}/{name}": tensor for kind, tensor in moments.items()}
        save_tensors(path, tensors, {"position": json.dumps(asdict(self.position))})

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """What ``write`` wrote, or that of an older version.

        Raises:
            TrainingError: it is no checkpoint.
        """
        known = {field.name for field in fields(Position)}  # a later version may have written more
        position = Position(**{key: value for key, value in position_of(path).items() if key in known})
        if isinstance(position.identity, str):  # of everything together: nothing could say what differs
            raise _another(path, "an earlier version of ragqa", "a run of this version")
        weights: dict[str, Tensor] = {}
        average: dict[str, Tensor] = {}
        moments: dict[str, dict[str, Tensor]] = {}
        with safe_open(path, framework="pt") as stored:
            for key in stored.keys():  # noqa: SIM118 (not a dict)
                kind, name = key.split("/", 1)
                tensor = stored.get_tensor(key)
                if kind == "weight":
                    weights[name] = tensor
                elif kind == "average":
                    average[name] = tensor
                else:
                    moments.setdefault(name, {})[kind] = tensor
        return cls(position, weights, average, moments)

    def require_same_run(self, own: "Checkpoint", path: Path) -> None:
        """Refuse to go on from this one, read from ``path``, in a run that is not its own.

        Its schedule may differ in when to save and to validate, and in the rates where they led to no number.

        Raises:
            TrainingError: the learning rate would jump, the examples would be others or in another order, or other
                weights would be trained.
        """
        there, here = self.position, own.position
        # What an older version did not know stood at its default.
        schedule = {**Schedule().model_dump(), **there.schedule}
        free = FREE | RATES if there.diverged else FREE
        if told := differing(schedule, here.schedule, free):
            raise _another(
                path, f"another schedule: {'; '.join(told)}", "the schedule that the run began with"
            )
        stored, mine = there.identity, here.identity
        if stored is None or mine is None:
            stored = mine = {}
        if told := differing(stored, mine, _DIGESTS):
            raise _another(path, f"other settings: {'; '.join(told)}", "the settings that the run began with")
        others = [name for name in _DIGESTS if stored.get(name) != mine.get(name)]
        if others or self.weights.keys() != own.weights.keys():
            raise _another(path, f"other {' and '.join(others) or 'weights'}", "the run that it belongs to")


def differing(there: Mapping[str, Any], here: Mapping[str, Any], free: Container[str]) -> list[str]:
    """What the two do not say alike; what only one says is the default of the other."""
    found: list[str] = []
    for key in {**there, **here}:
        left, right = there.get(key, _DEFAULT), here.get(key, _DEFAULT)
        if left == right or key in free:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += (f"{key}.{told}" for told in differing(left, right, ()))
            continue
        if isinstance(left, list) and isinstance(right, list):  # documents may be named by the hundred
            apart = (
                [one for one in left if one not in right][:3],
                [one for one in right if one not in left][:3],
            )
            left, right = apart if any(apart) else (left[:3], right[:3])
        found.append(f"{key} {left} there, {right} here")
    return found


def _another(path: Path, how: str, accepted: str) -> TrainingError:
    return TrainingError(
        f"{path} was made with {how}",
        accepted=accepted,
        next_step="restore it, or train without --resume (which begins again), or into another output",
    )


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write one file, whole or not at all."""
    with durable.whole(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
