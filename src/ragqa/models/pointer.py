"""An encoder–decoder with a pointer: it writes words of its vocabulary or copies those of the passages.

Each row (question + passage) is encoded apart, and the decoder attends over the states of all rows of a question at
once (fusion in decoder, Izacard and Grave 2021, arXiv:2007.01282). With the decoder's state h_t, source tokens s_i and
their states e_i,

    a_ti = softmax_i (q(h_t) · k(e_i) + p(h_t) · w(s_{i−1}) + r_i)      c_t = Σ_i a_ti e_i      g_t = σ(u · [h_t; c_t])
    P(y_t) = g_t · softmax(vocabulary scores)_{y_t} + (1 − g_t) · Σ_{i: s_i = y_t} a_ti

(See, Liu and Manning 2017, arXiv:1704.04368.) The term with w, the word embedding of the token before, lets the pointer
go on where the word just written stands; r, ln 1/n for tokens of the n-th best passage, stands in the attention of the
decoder's layers, too, but for training. Self-attention and feed-forward layers of the decoder begin as the backbone's
last ones (Rothe, Narayan and Severyn 2020, arXiv:1907.12461).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.bert.modeling_bert import BertLayer

from ragqa import pretrained
from ragqa.beams import GREEDILY, Beam, BeamSearch
from ragqa.guiding import Guide
from ragqa.models import attention
from ragqa.models.generator import IGNORED
from ragqa.models.headed import Headed
from ragqa.models.loading import load_transformer
from ragqa.models.masked import MaskedHead
from ragqa.sources import MAX_WRITTEN_TOKENS, POINTER, Sources
from ragqa.surface import Written

LAYERS = 3

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Encoded:
    """Sources of N questions as the decoder sees them; S is rows of a question times tokens of a row.

    ``states``, ``keys`` (of the pointer) and ``before`` (the word embedding of the token before) are (N, S, D);
    ``ids`` and ``copyable`` (N, S); ``seen`` (N, 1, 1, S) is False where there is nothing. ``prior`` (N, S) of
    attention; none while it trains.
    """

    states: Tensor
    keys: Tensor
    before: Tensor
    ids: Tensor
    copyable: Tensor
    seen: Tensor
    prior: Tensor | None = None

    def at(self, rows: Tensor) -> "Encoded":
        """Of the questions at ``rows``, which may repeat."""
        return Encoded(
            self.states[rows],
            self.keys[rows],
            self.before[rows],
            self.ids[rows],
            self.copyable[rows],
            self.seen[rows],
            None if self.prior is None else self.prior[rows],
        )


class PointerHead(nn.Module):
    """Everything that the encoder has not: the decoder, the pointer and the way to the vocabulary."""

    def __init__(self, config: Any, words: int, layers: int, dropout: float) -> None:
        super().__init__()
        size = int(config.hidden_size)
        layer = BertConfig(
            hidden_size=size,
            num_attention_heads=int(config.num_attention_heads),
            intermediate_size=int(getattr(config, "intermediate_size", 4 * size)),
            is_decoder=True,
            add_cross_attention=True,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=0.0,
            attn_implementation="sdpa",
        )
        self.tasks = nn.Embedding(2, size)
        self.positions = nn.Embedding(MAX_WRITTEN_TOKENS, size)
        self.norm = nn.LayerNorm(size)
        # Not called layers: what freezes the encoder's layers by number would find these.
        self.decoder = nn.ModuleList(BertLayer(layer, layer_idx=number) for number in range(layers))
        self.copy_query, self.copy_key = nn.Linear(size, size), nn.Linear(size, size)
        self.copy_next = nn.Linear(size, size, bias=False)
        self.gate = nn.Linear(2 * size, 1)
        self.words = MaskedHead(size, words)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.copy_next.weight)

    def begin_as(self, encoder: Any) -> None:
        """Take what BERT has alike: positions, the norm above them, and its last layers."""
        embeddings = getattr(encoder, "embeddings", None)
        layers: Any = getattr(getattr(encoder, "encoder", None), "layer", ())
        if embeddings is None or len(layers) < len(self.decoder) or not hasattr(layers[0], "intermediate"):
            return
        self.norm.load_state_dict(embeddings.LayerNorm.state_dict())
        self.norm.eps = embeddings.LayerNorm.eps
        with torch.no_grad():
            known = embeddings.position_embeddings.weight
            count = min(len(known), MAX_WRITTEN_TOKENS)
            self.positions.weight[:count] = known[:count]
        for own, theirs in zip(self.decoder, layers[-len(self.decoder) :], strict=True):
            state = theirs.state_dict()
            across = {
                name.replace("attention.", "crossattention.", 1): tensor
                for name, tensor in state.items()
                if name.startswith("attention.")
            }
            own.load_state_dict({**state, **across})

    def run(self, inputs: Tensor, encoded: Encoded, cache: Any = None) -> Tensor:
        """Inputs (N, T, D) → states (N, T, D); with a ``cache`` inputs are those of the one next token."""
        length = inputs.shape[1]
        causal = None
        if length > 1:
            causal = torch.ones(length, length, dtype=torch.bool, device=inputs.device).tril()[None, None]
        seen = encoded.seen
        if encoded.prior is not None:
            least = torch.finfo(inputs.dtype).min
            seen = encoded.prior[:, None, None].to(inputs.dtype).masked_fill(~seen, least)
        seen = seen.expand(-1, -1, length, -1)
        hidden = inputs
        for layer in self.decoder:
            hidden = layer(
                hidden,
                attention_mask=causal,
                encoder_hidden_states=encoded.states,
                encoder_attention_mask=seen,
                past_key_values=cache,
            )
        return hidden

    def pointer(self, hidden: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """States (N, T, D) → log a (N, T, S) and log-odds of the gate (N, T), both float32."""
        scores = self.copy_query(hidden) @ encoded.keys.transpose(1, 2)
        scores = scores + self.copy_next(hidden) @ encoded.before.transpose(1, 2)
        scores = scores.float() * hidden.shape[-1] ** -0.5
        if encoded.prior is not None:
            scores = scores + encoded.prior.unsqueeze(1)
        weights = scores.masked_fill(~encoded.copyable.unsqueeze(1), _NEVER).log_softmax(-1)
        context = weights.exp().to(hidden.dtype) @ encoded.states
        odds: Tensor = self.gate(torch.cat([hidden, context], -1)).squeeze(-1)
        return weights, odds.float()


class PointerModel(Headed):
    """``forward`` returns the mean negative log-likelihood of what shall be written, (N,).

    ``ids``, ``mask``, ``kinds``, ``copyable`` (R, L), ``slots`` (R,) and ``places`` are those of ``sources.Sources``;
    ``labels`` (N, T) end with the token that ends a text, padded with ``IGNORED``; those that are not padding stand at
    ``rows`` and ``columns``, (M,). ``tasks`` (N,) are ``ANSWER`` or ``ASK``.
    """

    kind: ClassVar[str] = POINTER

    def __init__(self, encoder: Any, layers: int = LAYERS, dropout: float = 0.0) -> None:
        self._layers, self._dropout = layers, dropout
        super().__init__(encoder, int(encoder.config.hidden_size))

    def fresh_head(self, hidden: int) -> "PointerHead":
        """A decoder that begins as the encoder's last layers."""
        words = len(self.encoder.get_input_embeddings().weight)
        head = PointerHead(self.encoder.config, words, self._layers, self._dropout)
        head.begin_as(self.encoder)
        return head

    @classmethod
    def from_backbone(cls, folder: Path, dropout: float, layers: int = LAYERS) -> Self:
        """The pretrained encoder in ``folder`` with a decoder of so many layers."""
        encoder = load_transformer(folder, attention=attention.register(), dropout=dropout)
        return cls(encoder, layers, dropout)

    @classmethod
    def shape_of(cls, folder: Path) -> dict[str, Any]:
        """The number of layers of the decoder in ``folder``."""
        return {"layers": int(pretrained.stored_config(folder).get("decoder_layers", LAYERS))}

    def encode(
        self,
        ids: Tensor,
        mask: Tensor,
        kinds: Tensor,
        copyable: Tensor,
        slots: Tensor,
        places: int,
        count: int,
        prior: Tensor | None = None,
    ) -> Encoded:
        """Rows (R, L) of ``count`` questions → what the decoder sees, (N, places · L, …); ``prior`` is (R,)."""
        states = self.hidden(ids, mask, kinds)
        before = torch.cat([ids[:, :1], ids[:, :-1]], 1)

        def placed(rows: Tensor) -> Tensor:
            """(R, L, …) → (N, places · L, …), zeros where a question has fewer rows."""
            found = rows
            if len(rows) != count * places:
                found = rows.new_zeros((count * places, *rows.shape[1:])).index_copy(0, slots, rows)
            return found.reshape(count, places * rows.shape[1], *rows.shape[2:])

        states = placed(states)
        return Encoded(
            states,
            self.head.copy_key(states),
            placed(self._table()[before]),
            placed(ids),
            placed(copyable),
            placed(mask).bool()[:, None, None],
            None if prior is None else placed(prior.unsqueeze(1).expand(ids.shape)),
        )

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        kinds: Tensor,
        copyable: Tensor,
        slots: Tensor,
        places: int,
        labels: Tensor,
        tasks: Tensor,
        rows: Tensor,
        columns: Tensor,
    ) -> Tensor:
        encoded = self.encode(ids, mask, kinds, copyable, slots, places, len(labels))
        hidden = self.head.run(self._inputs(tasks, labels.clamp(min=0)[:, :-1]), encoded)
        copied, odds = self.head.pointer(hidden, encoded)
        # Of the places that are learned alone, M of N · T: scores over the vocabulary are what takes memory.
        targets = labels[rows, columns]
        same = encoded.ids[rows] == targets.unsqueeze(1)
        copy = copied[rows, columns].masked_fill(~same, _NEVER).logsumexp(-1)
        scores = self.head.words(hidden[rows, columns], self._table()).float()
        word = scores.gather(1, targets.unsqueeze(1)).squeeze(1) - scores.logsumexp(-1)
        gate = odds[rows, columns]
        mixed = torch.logaddexp(nn.functional.logsigmoid(gate) + word, nn.functional.logsigmoid(-gate) + copy)
        sums = mixed.new_zeros(len(labels)).index_add(0, rows, mixed)
        return -sums / (labels != IGNORED).sum(1).clamp(min=1)

    def next_words(self, hidden: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """States (N, D) → P over the vocabulary (N, V), and the part of it that is copied (N, V), float32."""
        copied, odds = (part.squeeze(1) for part in self.head.pointer(hidden.unsqueeze(1), encoded))
        scores = self.head.words(hidden, self._table()).float()
        gate = odds.sigmoid().unsqueeze(1)
        copy = torch.zeros_like(scores).scatter_add(1, encoded.ids, (1 - gate) * copied.exp())
        return gate * scores.softmax(-1) + copy, copy

    @torch.no_grad()
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
        """What ``search`` finds for each question of ``sources``, best first, up to ``end`` or ``max_tokens``.

        Args:
            inner: which tokens go on with the word before them, (V,); see ``ragqa.guiding``.
            heard: gets each token of the first question as it is written, and whether it was copied; greedily only.
        """
        device = self.head.gate.weight.device
        arrays = (sources.ids, sources.mask, sources.kinds, sources.copyable, sources.slots, sources.prior())
        ids, mask, kinds, copyable, slots, prior = (torch.from_numpy(array).to(device) for array in arrays)
        was_training = self.training
        self.eval()
        encoded = self.encode(ids, mask, kinds, copyable, slots, sources.places, len(tasks), prior)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = self._start(torch.tensor(tasks, device=device))
        found = [Beam(search, Guide(sources.rows_of(number), inner), end) for number in range(len(tasks))]
        inputs, width = start, 1  # rows of a question: one at first, then as many as it has texts
        for step in range(1, 1 + min(max_tokens, MAX_WRITTEN_TOKENS)):
            hidden = self.head.run(inputs, encoded, cache)[:, -1]
            likelihoods, copied = (part.cpu().numpy() for part in self.next_words(hidden, encoded))
            origin, last = [], []
            for number, beam in enumerate(found):
                first = number * width
                mine = slice(first, first + width)
                parents = [] if beam.is_over else beam.advance(likelihoods[mine], copied[mine])
                spare = search.width - len(parents)
                origin += [first + parent for parent in parents] + [first] * spare
                last += (beam.last if parents else []) + [end] * spare
            if all(beam.is_over for beam in found):
                break
            if heard is not None and not found[0].is_over:
                heard(last[0], found[0].last_copied)
            if search.width > 1:
                rows = torch.tensor(origin, device=device)
                cache.self_attention_cache.reorder_cache(rows)
                if width < search.width:
                    cache.cross_attention_cache.reorder_cache(rows)
                    encoded = encoded.at(rows)
            width = search.width
            inputs = self._embedded(torch.tensor(last, device=device)[:, None], step)
        self.train(was_training)
        return [beam.ranked() for beam in found]

    def _table(self) -> Tensor:
        table: Tensor = self.encoder.get_input_embeddings().weight
        return table

    def _start(self, tasks: Tensor) -> Tensor:
        """(N,) → the first input, (N, 1, D)."""
        first: Tensor = self.head.tasks(tasks).unsqueeze(1) + self.head.positions.weight[:1]
        found: Tensor = self.head.norm(first)
        return found

    def _embedded(self, tokens: Tensor, first: int) -> Tensor:
        """Tokens (N, T) written before place ``first``, … → inputs there, (N, T, D)."""
        places = self.head.positions.weight[first : first + tokens.shape[1]]
        found: Tensor = self.head.norm(self._table()[tokens] + places)
        return found

    def _inputs(self, tasks: Tensor, tokens: Tensor) -> Tensor:
        """The task and the tokens (N, T − 1) → inputs (N, T, D)."""
        return torch.cat([self._start(tasks), self._embedded(tokens, 1)], 1)


class SourceEncoder(nn.Module):
    """What is worked out once for each question, for serving.

    Rows (R, L) → states and pointer's keys, (R, L, D), and keys and values of each decoder layer side by side,
    (R, L, 2 · layers · D).
    """

    def __init__(self, model: PointerModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def load(cls, folder: Path) -> "SourceEncoder":
        """Of the model in ``folder``."""
        return cls(PointerModel.load(folder))

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head = self.model.head
        states = self.model.hidden(ids, mask, kinds)
        across = [layer.crossattention.self for layer in head.decoder]
        pairs = [part(states) for layer in across for part in (layer.key, layer.value)]
        return states, head.copy_key(states), torch.cat(pairs, -1)

    def arrays(self) -> dict[str, Any]:
        """What the decoder computes with: the head's weights by name, the word embeddings, and how it computes."""
        head = self.model.head
        found = dict(head.state_dict())
        found["table"] = self.model._table()
        found["heads"] = torch.tensor([head.decoder[0].attention.self.num_attention_heads])
        norms = [(name, part) for name, part in head.named_modules() if isinstance(part, nn.LayerNorm)]
        found |= {f"{name}.eps": torch.tensor([part.eps]) for name, part in norms}
        return {name: tensor.detach().float().numpy() for name, tensor in found.items()}
