"""Serve the encoder–decoder with a pointer on a CPU: its encoder from OpenVINO, its decoder in numpy.

One step of the decoder multiplies matrices with one vector, which is bound by memory: numpy is as fast there as any
engine, and needs neither torch nor transformers, whose imports take longer than the answer. The formulas are those of
``ragqa.models.pointer``, which is what training runs and what tests compare this with.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from threadpoolctl import ThreadpoolController

from ragqa.beams import GREEDILY, Beam, BeamSearch
from ragqa.guiding import Guide
from ragqa.runtimes.batches import plan
from ragqa.runtimes.compiled import ARRAYS
from ragqa.runtimes.openvino import OpenvinoRuntime
from ragqa.sources import MAX_WRITTEN_TOKENS, POINTER, Sources
from ragqa.surface import Written
from ragqa.windows import Ints

Floats = npt.NDArray[np.float32]

_NEVER = -1e9
_erf = np.vectorize(math.erf, otypes=[np.float32])


@dataclass(frozen=True, slots=True)
class Encoded:
    """All source tokens of one question, S of them, without padding.

    ``states``, ``keys`` (of the pointer) and ``before`` (the word embedding of the token before) are (S, D); ``across``
    are keys and values of each layer, (H, S, D / H); ``ids``, ``copyable`` and ``prior``, of attention, (S,).
    """

    states: Floats
    keys: Floats
    before: Floats
    across: Sequence[tuple[Floats, Floats]]
    ids: Ints
    copyable: npt.NDArray[np.bool_]
    prior: Floats


class Decoder:
    """Writes for one question, K texts at a time; ``arrays`` are the head's weights, and ``table``, the words'."""

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        self._arrays = arrays
        self.heads = int(arrays["heads"][0])
        self.layers = 1 + max(int(name.split(".")[1]) for name in arrays if name.startswith("decoder."))
        self.table = arrays["table"]

    def encoded(self, rows: Sequence[tuple[Sequence[Floats], Ints, npt.NDArray[np.bool_], float]]) -> Encoded:
        """The rows of one question: what the encoder says of each, its ids, what may be copied, and its prior."""
        states, keys, across = (np.concatenate([found[part] for found, *_ in rows]) for part in range(3))
        pairs = np.split(across, 2 * self.layers, axis=1)
        heads = [self._by_head(part) for part in pairs]
        ids = np.concatenate([row for _, row, *_ in rows])
        before = np.concatenate([np.concatenate([row[:1], row[:-1]]) for _, row, *_ in rows])
        copyable = np.concatenate([flags for _, _, flags, _ in rows])
        prior = np.concatenate([np.full(len(row), prior, dtype=np.float32) for _, row, _, prior in rows])
        layers = list(zip(heads[::2], heads[1::2], strict=True))
        return Encoded(states, keys, self.table[before], layers, ids, copyable, prior)

    def write(
        self,
        encoded: Encoded,
        task: int,
        beam: Beam,
        max_tokens: int,
        heard: Callable[[int, bool], None] | None = None,
    ) -> tuple[Written, ...]:
        """What ``beam`` makes of it; ``heard`` gets each token of its likeliest text, and whether it was copied."""
        inputs = self._arrays["tasks.weight"][[task]]
        cache: list[tuple[Floats, Floats] | None] = [None] * self.layers
        for step in range(max_tokens):
            hidden = self._norm("norm", inputs + self._arrays["positions.weight"][step])
            for layer, before in enumerate(cache):
                hidden, cache[layer] = self._layer(
                    f"decoder.{layer}", hidden, before, encoded.across[layer], encoded.prior
                )
            parents = beam.advance(*self.next_words(hidden, encoded))
            if beam.is_over:
                break
            if heard is not None:
                heard(beam.last[0], beam.last_copied)
            if parents != list(range(len(hidden))):
                cache = [(keys[parents], values[parents]) for keys, values in filter(None, cache)]
            inputs = self.table[beam.last]
        return beam.ranked()

    def next_words(self, hidden: Floats, encoded: Encoded) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """States (K, D) → P over the vocabulary (K, V), and the part of it that is copied (K, V)."""
        scores = self._linear("copy_query", hidden) @ encoded.keys.T
        scores = scores + hidden @ self._arrays["copy_next.weight"].T @ encoded.before.T
        scores = scores * hidden.shape[1] ** -0.5 + encoded.prior
        weights = _softmax(np.where(encoded.copyable, scores, _NEVER))
        odds = self._linear("gate", np.concatenate([hidden, weights @ encoded.states], 1))
        gate = 1 / (1 + np.exp(-odds))
        counted = [np.bincount(encoded.ids, row, minlength=len(self.table)) for row in weights]
        copied = (1 - gate) * np.stack(counted)
        words = self._norm("words.norm", _gelu(self._linear("words.dense", hidden)))
        return gate * _softmax(words @ self.table.T + self._arrays["words.bias"]) + copied, copied

    def _layer(
        self,
        name: str,
        hidden: Floats,
        before: tuple[Floats, Floats] | None,
        across: tuple[Floats, Floats],
        prior: Floats,
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """States (K, D) → states behind the layer, and keys and values of all tokens so far, (K, H, T, D / H)."""
        own = f"{name}.attention"
        heads = (len(hidden), self.heads, 1, -1)
        new = (self._linear(f"{own}.self.{part}", hidden).reshape(heads) for part in ("key", "value"))
        keys, values = new if before is None else map(_joined, before, new)
        hidden = self._attend(own, hidden, keys, values)
        hidden = self._attend(f"{name}.crossattention", hidden, *across, prior)
        wide = _gelu(self._linear(f"{name}.intermediate.dense", hidden))
        hidden = self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", wide) + hidden)
        return hidden, (keys, values)

    def _attend(
        self, name: str, hidden: Floats, keys: Floats, values: Floats, prior: Floats | float = 0.0
    ) -> Floats:
        """One query of each text (K, D) over keys and values (K, H, S, D / H) or those of all, (H, S, D / H)."""
        query = self._linear(f"{name}.self.query", hidden).reshape(len(hidden), self.heads, -1, 1)
        weights = _softmax((keys @ query)[..., 0] * query.shape[2] ** -0.5 + prior)
        mixed = (weights[..., None, :] @ values).reshape(hidden.shape)
        return self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", mixed) + hidden)

    def _by_head(self, rows: Floats) -> Floats:
        """(S, D) → (H, S, D / H)."""
        return np.ascontiguousarray(rows.reshape(len(rows), self.heads, -1).transpose(1, 0, 2))

    def _linear(self, name: str, hidden: Floats) -> Floats:
        found: Floats = hidden @ self._arrays[f"{name}.weight"].T + self._arrays[f"{name}.bias"]
        return found

    def _norm(self, name: str, hidden: Floats) -> Floats:
        centred = hidden - hidden.mean(-1, keepdims=True)
        scale = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + self._arrays[f"{name}.eps"][0])
        found: Floats = centred * scale * self._arrays[f"{name}.weight"] + self._arrays[f"{name}.bias"]
        return found


class PointerRuntime:
    """The model in ``folder``, made ready for this machine once; ``precision`` is that of the encoder."""

    def __init__(self, folder: Path, *, precision: str = "auto") -> None:
        self._encoder = OpenvinoRuntime(POINTER, folder, precision=precision)
        self._decoder = Decoder(load_file(self._encoder.folder / ARRAYS))
        self._threads = ThreadpoolController()

    def write(
        self,
        sources: Sources,
        tasks: Sequence[int],
        *,
        end: int,
        max_tokens: int,
        inner: npt.NDArray[np.bool_],
        search: BeamSearch = GREEDILY,
        heard: Callable[[int, bool], None] | None = None,
    ) -> list[tuple[Written, ...]]:
        """As ``ragqa.models.pointer.PointerModel.write``."""
        found, prior = self._rows(sources), sources.prior()
        written = []
        for number, task in enumerate(tasks):
            mine = [row for row, slot in enumerate(sources.slots) if slot // sources.places == number]
            parts = []
            for row in mine:
                real = sources.mask[row] == 1
                kept = sources.ids[row][real], sources.copyable[row][real]
                parts.append((found[row], *kept, float(prior[row])))
            encoded = self._decoder.encoded(parts)
            beam = Beam(search, Guide(sources.rows_of(number), inner), end)
            tokens, listener = min(max_tokens, MAX_WRITTEN_TOKENS), heard if number == 0 else None
            # A product with one vector takes less time than its threads take to meet: eight times as much CPU.
            with self._threads.limit(limits=1, user_api="blas"):
                written.append(self._decoder.write(encoded, task, beam, tokens, listener))
        return written

    def _rows(self, sources: Sources) -> list[list[Floats]]:
        """What the encoder says of each row, cut to the row's own tokens."""
        lengths = sources.mask.sum(1).tolist()
        batches = plan(lengths, self._encoder.batch_tokens)
        inputs = []
        for rows in batches:
            width = lengths[rows[0]]
            arrays = (part[rows][:, :width] for part in (sources.ids, sources.mask, sources.kinds))
            inputs.append(tuple(np.ascontiguousarray(array) for array in arrays))
        found: dict[int, list[Floats]] = {}
        for rows, outputs in zip(batches, self._encoder.run(inputs), strict=True):  # type: ignore[arg-type]
            for place, row in enumerate(rows):
                found[row] = [output[place, : lengths[row]] for output in outputs]
        return [found[row] for row in range(len(lengths))]


def _joined(before: Floats, new: Floats) -> Floats:
    """Along the tokens, (…, T, D / H)."""
    return np.concatenate([before, new], -2)


def _softmax(scores: Floats) -> Floats:
    """Over the last axis."""
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    found: Floats = raised / raised.sum(-1, keepdims=True)
    return found


def _gelu(values: Floats) -> Floats:
    found: Floats = 0.5 * values * (1 + _erf(values * math.sqrt(0.5)))
    return found
