"""A passage that goes through the encoder once for everything that is asked of it.

A row is a segment, [CLS] question option [SEP], and a passage, [SEP] text [SEP]. The segment attends to itself and
to the passage, the passage to itself alone. What the encoder makes of a passage is then the same for every question
and option, and with 14 options on a passage, as in RACE, a ninth of the tokens is left to compute. A mask says the
same to any runtime (``ragqa.models.choice``); the two agree to rounding. That lower layers can read a passage apart
from the question is due to Cao et al. 2020 (DeFormer, arXiv:2005.00697); here all layers do.

Grids are padded, tokens between them are not: linear layers and feed-forward steps see tokens alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer

from ragqa.choices import PASSAGE_AT
from ragqa.errors import ModelError
from ragqa.windows import Ints

_HIDDEN = -1e4
"""Added to the score of a place that holds nothing: its weight is 0 in every float type."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each of T tokens stands in a grid whose rows begin with tokens and may end with padding.

    ``at`` (T,) counts the places row by row; ``held`` (rows · width,) is the token at each place, 0 at those that hold
    none, and ``full`` (rows, width) tells these apart.
    """

    at: Tensor
    held: Tensor
    full: Tensor

    @classmethod
    def of(cls, counts: Ints) -> "Places":
        """The tokens of each row one after another; ``counts`` (rows,) says how many it has."""
        full = np.arange(counts.max()) < counts[:, None]
        at = np.flatnonzero(full)
        held = np.zeros(full.size, dtype=np.int64)
        held[at] = np.arange(len(at))
        return cls(torch.from_numpy(at), torch.from_numpy(held), torch.from_numpy(full))

    def spread(self, tokens: Tensor) -> Tensor:
        """(T, …) → (rows, width, …), zero at places that hold nothing."""
        found: Tensor = _Spread.apply(tokens, self)  # type: ignore[no-untyped-call]
        return found.view(*self.full.shape, *tokens.shape[1:])

    def gather(self, grid: Tensor) -> Tensor:
        """(rows, width, …) → (T, …)."""
        found: Tensor = _Gathered.apply(grid.flatten(0, 1), self)  # type: ignore[no-untyped-call]
        return found

    def placed(self, tokens: Tensor) -> Tensor:
        """(T, …) → (rows · width, …), without a gradient."""
        full = self.full.view(-1, *[1] * (tokens.ndim - 1))
        return tokens.index_select(0, self.held) * full.to(tokens.dtype)


class _Spread(torch.autograd.Function):
    """No token stands at two places: its gradient is read, where that of an index is a sum, place by place."""

    @staticmethod
    def forward(context: Any, tokens: Tensor, places: Places) -> Tensor:
        context.places = places
        return places.placed(tokens)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.index_select(0, context.places.at), None


class _Gathered(torch.autograd.Function):
    """The way back."""

    @staticmethod
    def forward(context: Any, grid: Tensor, places: Places) -> Tensor:
        context.places = places
        return grid.index_select(0, places.at)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return context.places.placed(gradient), None


@dataclass(frozen=True, slots=True)
class SharedPassages:
    """A batch: P pieces of passages, and S segments, each of which reads one of them.

    ``ids``, ``positions`` and ``kinds`` are (N,): the tokens of all pieces, then those of all segments, where the
    segments of a piece stand together. ``passages`` (P, Lp) are the places of the former; a token of a segment has one
    ``in_segment`` (S, Ls), and one ``on_piece`` (P, Q) among all that read its piece. The [CLS] of each segment is its
    ``first`` token, (S,); they have places ``alone``, (S, 1), and ``firsts_on_piece``, (P, G).
    """

    ids: Tensor
    positions: Tensor
    kinds: Tensor
    first: Tensor
    passages: Places
    in_segment: Places
    on_piece: Places
    alone: Places
    firsts_on_piece: Places


def lay_out(pieces: Sequence[Ints], segments: Sequence[Sequence[Ints]]) -> SharedPassages:
    """The batch of ``pieces``, each with the ``segments`` that read it."""
    read = np.array([len(piece) for piece in pieces])
    lengths = np.array([len(segment) for mine in segments for segment in mine])
    tokens = np.array([sum(map(len, mine)) for mine in segments])
    ids = np.concatenate([*pieces, *(segment for mine in segments for segment in mine)])
    positions = np.concatenate([*(PASSAGE_AT + np.arange(n) for n in read), *map(np.arange, lengths)])
    kinds = (np.arange(len(ids)) < read.sum()).astype(np.int64)
    return SharedPassages(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(kinds),
        torch.from_numpy(np.cumsum(lengths) - lengths),
        passages=Places.of(read),
        in_segment=Places.of(lengths),
        on_piece=Places.of(tokens),
        alone=Places.of(np.ones_like(lengths)),
        firsts_on_piece=Places.of(np.array([len(mine) for mine in segments])),
    )


def first_states(encoder: nn.Module, batch: SharedPassages) -> Tensor:
    """The last layer's state of the [CLS] of each segment, (S, D).

    Raises:
        ModelError: the encoder is not one of BERT's kind.
    """
    embeddings, layers = parts(encoder)
    rows = embeddings(
        input_ids=batch.ids[None], position_ids=batch.positions[None], token_type_ids=batch.kinds[None]
    )[0]
    read = len(batch.passages.at)
    passages, tokens = batch.passages.spread(rows[:read]), rows[read:]
    for layer in layers[:-1]:
        attention = _Attention(layer, passages, tokens, batch)
        mixed = attention.of_segments(tokens, batch.in_segment, batch.on_piece)
        passages, tokens = _rest(layer, passages, attention.of_passages()), _rest(layer, tokens, mixed)
    # Nothing reads the others in the last layer.
    first = tokens.index_select(0, batch.first)
    attention = _Attention(layers[-1], passages, tokens, batch)
    return _rest(layers[-1], first, attention.of_segments(first, batch.alone, batch.firsts_on_piece))


def parts(encoder: nn.Module) -> tuple[Any, list[Any]]:
    """The embeddings and the layers of an encoder of BERT's kind, whatever a tuning put inside or around.

    Raises:
        ModelError: it is another kind.
    """
    embeddings = [module for module in encoder.modules() if isinstance(module, BertEmbeddings)]
    layers = [module for module in encoder.modules() if isinstance(module, BertLayer)]
    segments = [one.token_type_embeddings.num_embeddings for one in embeddings]
    if len(embeddings) != 1 or not layers or segments[0] < 2:
        raise ModelError(
            f"a passage cannot be read once by {type(encoder).__name__}",
            accepted="encoders of BERT's kind that tell two segments apart",
            next_step="leave passage_once out: each option is then read with the passage",
        )
    return embeddings[0], layers


def _rest(layer: Any, states: Tensor, mixed: Tensor) -> Tensor:
    """What a layer does after attention, for states of any shape (…, D)."""
    found: Tensor = layer.feed_forward_chunk(layer.attention.output(mixed, states))
    return found


class _Attention:
    """What the tokens of a layer find in each other, (…, H · d).

    Masks and known sums are further dimensions of queries and keys. One that is 1 in a query and b in a key adds b to
    their score: padding is hidden without a pass over the (Q, L) scores. One that is s in a query and 1 in a last key,
    which stands for all keys elsewhere, adds the score s.
    """

    def __init__(self, layer: Any, passages: Tensor, tokens: Tensor, batch: SharedPassages) -> None:
        self._inner, self._passages, self._batch = layer.attention.self, passages, batch
        projections = (self._inner.key, self._inner.value)
        self._read = [self._heads(linear(passages)).transpose(1, 2) for linear in projections]
        spread = batch.in_segment.spread
        self._own = [self._heads(spread(linear(tokens))).transpose(1, 2) for linear in projections]

    def of_passages(self) -> Tensor:
        """(P, Lp, H · d)."""
        key, value = self._read
        query = _with(self._asked(self._passages), 1.0).transpose(1, 2)
        scores = query @ torch.cat([key, _hiding(self._batch.passages, key)], -1).transpose(-1, -2)
        return (torch.softmax(scores, -1) @ value).transpose(1, 2).flatten(2)

    def of_segments(self, asking: Tensor, alone: Places, together: Places) -> Tensor:
        """What ``asking`` (T, H · d) find in their segments and in the passages: one softmax over the keys of both.

        Their places are ``alone`` in each segment and ``together`` on each piece. The first attention gives, for each
        token, the values that it mixes there and log Σ exp of its scores; to the second that is the score of one key.
        """
        query = _with(self._asked(asking), 1.0)
        key, value = self._own
        keys = torch.cat([key, _hiding(self._batch.in_segment, key)], -1)
        scores = alone.spread(query).transpose(1, 2) @ keys.transpose(-1, -2)
        mixed = alone.gather((torch.softmax(scores, -1) @ value).transpose(1, 2))
        total = alone.gather(torch.logsumexp(scores, -1).transpose(1, 2))

        key, value = self._read
        keys = _with(torch.cat([key, _hiding(self._batch.passages, key)], -1), 0.0)
        elsewhere = torch.zeros_like(keys[:, :, :1])
        elsewhere[..., -1] = 1
        keys, values = torch.cat([keys, elsewhere], 2), nn.functional.pad(value, (0, 0, 0, 1))
        asked = together.spread(torch.cat([query, total.unsqueeze(-1)], -1)).transpose(1, 2)
        weights = torch.softmax(asked @ keys.transpose(-1, -2), -1)
        far = together.gather((weights @ values).transpose(1, 2))
        rest = together.gather(weights[..., -1].transpose(1, 2))
        return (far + rest.unsqueeze(-1) * mixed).flatten(1)

    def _heads(self, states: Tensor) -> Tensor:
        """(…, H · d) → (…, H, d)."""
        return states.view(*states.shape[:-1], -1, self._inner.attention_head_size)

    def _asked(self, states: Tensor) -> Tensor:
        """The queries of ``states``, scaled, (…, H, d)."""
        queries: Tensor = self._inner.query(states)
        return self._heads(queries * self._inner.attention_head_size**-0.5)


def _with(vectors: Tensor, value: float) -> Tensor:
    """(…, d) → (…, d + 1), the last of which is ``value``."""
    return nn.functional.pad(vectors, (0, 1), value=value)


def _hiding(places: Places, key: Tensor) -> Tensor:
    """What is added to the scores of keys (N, H, L, d) that stand at ``places``, (N, H, L, 1)."""
    hidden = torch.zeros_like(places.full, dtype=key.dtype).masked_fill_(~places.full, _HIDDEN)
    return hidden[:, None, :, None].expand(*key.shape[:3], 1)
