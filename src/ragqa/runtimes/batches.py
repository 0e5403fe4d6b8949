"""Token ids of different lengths → batches whose size is bounded in tokens."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MAX_BATCH_ROWS = 32

_ENOUGH_TOKENS, _WIDE_ENOUGH = 256, 0.8
"""A batch of so many tokens takes no row below this share of its width: reading takes a tenth less time so."""


class Batch(NamedTuple):
    """What every model reads, each (N, L): ids, attention mask (1 = token) and token types."""

    ids: Ints
    mask: Ints
    kinds: Ints


def plan(lengths: Sequence[int], max_tokens: int, max_rows: int = MAX_BATCH_ROWS) -> list[list[int]]:
    """Rows of each batch, longest first, so that rows of like length stand together and little is padding.

    Each row is in exactly one batch; a batch holds at most ``max_rows`` rows and ``max_tokens`` tokens,
    padding counted, except that a row longer than ``max_tokens`` stands alone.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        current = batches[-1] if batches else []
        if current and _takes(len(current), lengths[current[0]], lengths[row], max_tokens, max_rows):
            current.append(row)
        else:
            batches.append([row])
    return batches


def _takes(rows: int, width: int, length: int, max_tokens: int, max_rows: int) -> bool:
    """Whether a batch takes one more row; its first row is the longest and so as wide as the whole batch."""
    fits = rows < max_rows and (rows + 1) * width <= max_tokens
    return fits and (rows * width < _ENOUGH_TOKENS or length >= _WIDE_ENOUGH * width)


def pad(rows: Sequence[Sequence[int]]) -> Batch:
    """Ids of single texts, padded on the right; every token type is 0."""
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return Batch(ids, mask, np.zeros_like(ids))


def widened(batch: tuple[Ints, Ints, Ints], step: int) -> Batch:
    """The batch with columns of padding up to the next multiple of ``step``."""
    missing = -batch[0].shape[1] % step
    if not missing:
        return Batch(*batch)
    return Batch(*(np.pad(part, ((0, 0), (0, missing))) for part in batch))


def feed(model: Any, batch: tuple[Ints, Ints, Ints]) -> dict[str, Ints]:
    """The inputs of a compiled ``model`` by name; one without token types has no such input."""
    named = Batch(*batch)._asdict()
    # A port may carry names of the tracer's beside its own.
    return {name: named[name] for port in model.inputs for name in port.names & named.keys()}
