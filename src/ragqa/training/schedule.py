"""How long and how fast to train, and in which order the groups come."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

LEAST_UNJUDGED = 100
"""Steps between two validations, at least, unless an epoch has fewer or the run says how many."""


class Schedule(BaseModel):
    """Lengths are in epochs, groups, steps and minutes as their names say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(2, ge=1)
    max_steps: int | None = Field(None, ge=1, description="end (and decay the learning rate) earlier")
    patience: int | None = Field(
        None, ge=1, description="end after so many validations without a better score"
    )
    batch_groups: int = Field(32, ge=1)
    accumulate_batches: int = Field(1, ge=1, description="batches whose gradients make one step")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    decay: Literal["linear", "cosine", "constant"] = Field("linear", description="of the learning rate")
    learning_rate: float = Field(2.5e-4, gt=0)
    head_learning_rate: float = Field(1e-3, gt=0)
    layer_rate_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of a layer over that of the layer above it"
    )
    weight_decay: float = Field(0.01, ge=0)
    warmup_share: float = Field(0.06, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0)
    average_decay: float | None = Field(
        None, gt=0, lt=1, description="of a moving average of the weights, which is judged and kept"
    )
    seed: int = Field(13, ge=0)
    checkpoint_minutes: float = Field(5.0, gt=0)
    validate_steps: int | None = Field(
        None, ge=1, description="default: an epoch, or a tenth of the run where that is less"
    )

    def rate_at(self, step: int, steps: int) -> float:
        """Factor on the learning rate: linear up over the warm-up, then down to zero, or constant.

        Cosine (Loshchilov and Hutter 2017): ½ (1 + cos(π · share of the steps after the warm-up)).
        """
        warmup = max(1, round(self.warmup_share * steps))
        rising = (step + 1) / warmup
        left = (steps - step) / max(1, steps - warmup)
        falling = {
            "linear": left,
            "cosine": 0.5 * (1 + math.cos(math.pi * (1 - min(1.0, left)))),
            "constant": 1.0,
        }
        return min(rising, falling[self.decay])


class SizedGroup(Protocol):
    """What must be known of a group: how many tokens its longest row has."""

    @property
    def length(self) -> int: ...


def pieces(groups: Sequence[Any], most_tokens: int) -> Iterator[list[Any]]:
    """``groups`` in their order, so many at once that their ``rows``, padded, have at most ``most_tokens``.

    A group that has more stands alone.
    """
    piece: list[Any] = []
    rows = width = 0
    for group in groups:
        rows, width = rows + group.rows, max(width, group.length)
        if piece and rows * width > most_tokens:
            yield piece
            piece, rows, width = [], group.rows, group.length
        piece.append(group)
    if piece:
        yield piece


def bucketed_batches(
    groups: Sequence[SizedGroup], size: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Shuffled batches of indices whose groups have like lengths.

    Groups are shuffled, cut into pools of 64 batches, sorted by length inside a pool and the batches of the
    pool shuffled again: little padding, and still a random order. The batches of a pool differ by one group at
    most: a short one at its end would always be that of the longest, and a step of its own for a few.
    """
    order = rng.permutation(len(groups))
    for at in range(0, len(order), 64 * size):
        pool = sorted(order[at : at + 64 * size], key=lambda i: groups[i].length)
        count = -(-len(pool) // size)
        batches = [pool[len(pool) * n // count : len(pool) * (n + 1) // count] for n in range(count)]
        for index in rng.permutation(len(batches)):
            yield [int(i) for i in batches[index]]
