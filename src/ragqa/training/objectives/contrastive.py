"""Contrastive learning of an encoder: each question's own passage against all others (van den Oord et al. 2018).

A group is one passage with its questions, so that a passage is encoded once for all of them. With the unit vectors q
of the questions and p of the passages, and temperature τ, the loss of a question with the passage + is

    − q·p₊ / τ + log Σ_{p ∈ {p₊} ∪ N} exp(q·p / τ)

and with several right passages, each worth a share s of the target, − Σ s q·p₊ / τ takes the first place (Izacard and
Grave 2021, arXiv:2012.04584). A passage that is known to answer the question, too, stays out of N.

Where only the query side is trained, N are all passages of the training documents: their vectors never change, so that
every question meets the hardest of them at no cost, and the loss is exact. Where both sides are trained, N are the
passages of the batch (Karpukhin et al. 2020, arXiv:2004.04906), to which each group brings some that its examples name
as not answering, or that are like its own and hold no answer.
Vectors kept from earlier steps are no substitute: both sides together just move away from where they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ragqa.devices import choose_device
from ragqa.evaluation.answers import occurrences
from ragqa.protocols import Vectors
from ragqa.runtimes.batches import pad
from ragqa.types import Example, Passage

Inputs = tuple[Tensor, Tensor, Tensor]
"""Ids, attention mask and token types, each (N, L)."""

NEIGHBOURS = 16
"""Passages like its own from which a group draws hard negatives; twice as many are looked at for an answer."""

CHUNK_ROWS = {"cpu": 32, "cuda": 512}
"""Texts whose activations are in memory at once: a larger batch is encoded piece by piece, and again for its
gradient (Gao et al. 2021, arXiv:2101.06983)."""


Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PassageGroup:
    """The row of a passage, the examples on it, and the token ids of their questions.

    ``right`` holds, for each question, its right rows with their shares; one with share 0 counts neither way.
    ``passages`` are the token ids by row that are encoded anew: its own and the negatives it brings; empty where
    passages are not trained.
    """

    row: int
    examples: tuple[Example, ...]
    questions: tuple[Ids, ...]
    right: tuple[tuple[tuple[int, float], ...], ...]
    passages: Mapping[int, Ids]

    @property
    def length(self) -> int:
        return max(map(len, (*self.passages.values(), *self.questions)))


@dataclass(frozen=True, slots=True)
class Negatives:
    """Rows that a group may bring along: those that its examples name, and those nearest to its own."""

    named: tuple[int, ...]
    near: tuple[int, ...]

    def drawn(self, count: int, rng: np.random.Generator) -> list[int]:
        """So many of them: near ones only where there are no more that are named."""
        return [int(row) for rows in (self.named, self.near) for row in rng.permutation(rows)][:count]


@dataclass(frozen=True, slots=True)
class ContrastiveBatch:
    """Questions (Q rows) and passages (P rows) as chunks of inputs; no passages where the stored vectors stand for all.

    ``right`` (R, 2) holds pairs of question and passage, ``shares`` (R,) what each is worth of the question's target.
    """

    questions: tuple[Inputs, ...]
    passages: tuple[Inputs, ...]
    right: Tensor
    shares: Tensor


class ContrastiveObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        passages: those of the training documents.
        vectors: (N, D), theirs from the encoder before training.
        both_sides: encode the passages of a batch anew, with gradients; otherwise ``vectors`` stand for them.
        hard_negatives: of both sides, passages that a group brings along beside its own, drawn anew each epoch from
            those that its examples name and, where these are fewer, the ``NEIGHBOURS`` whose ``vectors`` are nearest
            to it and that hold no answer to its questions.
        prompts: what is written before a query and before a passage.
        sizes: the loss is the mean over vectors cut to their first so many dimensions, and whole (Kusupati et al.
            2022, arXiv:2205.13147); empty for whole vectors alone.
        smoothing: probability that is taken from the right passages and spread over all.
    """

    by_group = False

    def __init__(
        self,
        tokenizer: Tokenizer,
        passages: Sequence[Passage],
        vectors: Vectors,
        *,
        both_sides: bool,
        temperature: float,
        hard_negatives: int = 1,
        prompts: tuple[str, str] = ("", ""),
        sizes: Sequence[int] = (),
        smoothing: float = 0.0,
    ) -> None:
        self._tokenizer = tokenizer
        self._passages = passages
        self._rows = {passage.id: row for row, passage in enumerate(passages)}
        self.vectors = torch.from_numpy(np.array(vectors, dtype=np.float32))
        self.both_sides, self.temperature, self.smoothing = both_sides, temperature, smoothing
        self.hard_negatives = hard_negatives if both_sides else 0
        self.sizes = sorted({*sizes, self.vectors.shape[1]})
        self._query_prompt, self._passage_prompt = prompts
        # By the id of its first example, which it holds: nothing else can have that id.
        self._groups: dict[int, PassageGroup] = {}
        self._negatives: dict[int, Negatives] = {}
        self._ids_of: dict[int, Ids] = {}

    def prepare(self, examples: Sequence[Example]) -> None:
        """Gather the questions of each passage; the first example of a passage stands for its group."""
        by_passage: dict[str, list[Example]] = {}
        for example in examples:
            self._groups.pop(id(example), None)  # in another group, when it was prepared with others
            if example.positives and example.positives[0].id in self._rows:
                by_passage.setdefault(example.positives[0].id, []).append(example)
        for passage, mine in by_passage.items():
            self._groups[id(mine[0])] = self._of(self._rows[passage], mine)
        if self.hard_negatives:
            self._negatives = self._candidates()

    def _of(self, row: int, examples: Sequence[Example]) -> PassageGroup:
        return PassageGroup(
            row,
            tuple(examples),
            tuple(self._ids([self._query_prompt + e.query.text for e in examples])),
            tuple(self._right(e) for e in examples),
            {row: self._ids_at(row)} if self.both_sides else {},
        )

    def _right(self, example: Example) -> tuple[tuple[int, float], ...]:
        """The right rows that are known, with their shares, which add up where a passage is named twice."""
        shares = example.shares or (1.0, *[0.0] * (len(example.positives) - 1))
        found: dict[int, float] = {}
        for passage, share in zip(example.positives, shares, strict=True):
            if passage.id in self._rows:
                row = self._rows[passage.id]
                found[row] = found.get(row, 0.0) + share
        return tuple(found.items())

    def _candidates(self) -> dict[int, Negatives]:
        """The negatives of each group, by the id of its first example."""
        groups, found = list(self._groups.values()), {}
        for at in range(0, len(groups), 1024):
            few = groups[at : at + 1024]
            for group, nearest in zip(few, self._nearest(few), strict=True):
                found[id(group.examples[0])] = self._negatives_of(group, nearest)
        return found

    def _nearest(self, groups: Sequence[PassageGroup]) -> list[list[int]]:
        """The rows nearest to that of each group, without those that are right for a question of it."""
        scores = self.vectors[[group.row for group in groups]] @ self.vectors.T
        for place, group in enumerate(groups):
            scores[place, [row for right in group.right for row, _ in right]] = -torch.inf
        values, rows = scores.topk(min(2 * NEIGHBOURS, scores.shape[1]), 1)
        return [mine[known].tolist() for mine, known in zip(rows, values.isfinite(), strict=True)]

    def _negatives_of(self, group: PassageGroup, nearest: Sequence[int]) -> Negatives:
        """Those named first, then, of the ``nearest``, those that hold no answer."""
        right = {row for pairs in group.right for row, _ in pairs}
        rows = dict.fromkeys(self._rows.get(p.id) for e in group.examples for p in e.hard_negatives)
        known = [row for row in rows if row is not None and row not in right]
        named = tuple(row for row in known if self._answers_none(row, group.examples))
        near = (row for row in nearest if row not in named and self._answers_none(row, group.examples))
        return Negatives(named, tuple(islice(near, NEIGHBOURS)))

    def _answers_none(self, row: int, examples: Sequence[Example]) -> bool:
        """Whether each of the examples names the passage as not answering, or it holds none of their answers."""
        passage = self._passages[row]
        return all(passage in one.hard_negatives or not _holds(passage.text, one.answers) for one in examples)

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [tuple(one.ids) for one in encoded]

    def _ids_at(self, row: int) -> Ids:
        if row not in self._ids_of:
            (self._ids_of[row],) = self._ids([self._passage_prompt + self._passages[row].titled_text])
        return self._ids_of[row]

    def group(self, example: Example, rng: np.random.Generator) -> PassageGroup | None:
        """The group that begins with ``example``, which has been prepared, with the negatives that it brings along."""
        group = self._groups.get(id(example))
        if group is None or not self.hard_negatives:
            return group
        drawn = self._negatives[id(example)].drawn(self.hard_negatives, rng)
        return replace(group, passages={**group.passages, **{row: self._ids_at(row) for row in drawn}})

    def collate(self, groups: Sequence[PassageGroup]) -> ContrastiveBatch:
        """Chunks of like length of all questions and passages of ``groups``."""
        asked = [pair for group in groups for pair in zip(group.questions, group.right, strict=True)]
        asked.sort(key=lambda one: len(one[0]))
        read = {row: ids for group in groups for row, ids in group.passages.items()}
        rows = sorted(read, key=lambda row: (len(read[row]), row))
        place_of = {row: place for place, row in enumerate(rows)} if self.both_sides else None
        right = [
            (place, *pair)
            for place, (_, mine) in enumerate(asked)
            for pair in _together(mine if place_of is None else _placed(mine, place_of))
        ]
        return ContrastiveBatch(
            chunks([ids for ids, _ in asked]),
            chunks([read[row] for row in rows]),
            torch.tensor([(place, row) for place, row, _ in right]),
            torch.tensor([share for *_, share in right]),
        )

    def loss(self, model: Any, batch: ContrastiveBatch) -> Tensor:
        """Mean loss over the questions of ``batch``."""
        queries = encode(model, batch.questions)
        passages = encode(model, batch.passages) if self.both_sides else self.vectors
        losses = [
            contrastive_loss(
                shortened(queries, size),
                shortened(passages, size),
                batch.right,
                batch.shares,
                self.temperature,
                self.smoothing,
            )
            for size in self.sizes
        ]
        return torch.stack(losses).mean()


def _holds(text: str, answers: Sequence[str]) -> bool:
    """Whether any of the answers stands in ``text`` as whole words."""
    # Most passages have not even the letters of one, and to see that takes a hundredth of the time.
    folded = text.casefold()
    return bool(occurrences(text, [answer for answer in answers if answer.strip().casefold() in folded]))


Right = Sequence[tuple[int, float]]


def _placed(right: Right, place_of: Mapping[int, int]) -> list[tuple[int, float]]:
    """Those of the right rows that have a place in the batch, by their place."""
    return [(place_of[row], share) for row, share in right if row in place_of]


def _together(right: Right) -> list[tuple[int, float]]:
    """The shares as parts of 1, whatever is missing."""
    total = sum(share for _, share in right)
    return [(row, share / total) for row, share in right]


def encode(model: Any, batches: Sequence[Inputs]) -> Tensor:
    """Vectors (N, D) of all rows, in order; more than one batch keeps no activations for its gradient."""
    if len(batches) == 1:
        return torch.cat(list(model(*batches[0])))
    if not torch.is_grad_enabled():
        return torch.cat([model(*inputs)[0] for inputs in batches])
    return torch.cat([checkpoint(model, *inputs, use_reentrant=False)[0] for inputs in batches])


def chunks(texts: Sequence[Sequence[int]]) -> tuple[Inputs, ...]:
    """Token ids as padded inputs of at most ``CHUNK_ROWS`` rows, in order."""
    rows = CHUNK_ROWS[choose_device("auto")]
    pieces = (pad(texts[at : at + rows]) for at in range(0, len(texts), rows))
    return tuple(
        (torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(kinds))
        for ids, mask, kinds in pieces
    )


def shortened(vectors: Tensor, size: int) -> Tensor:
    """The first ``size`` dimensions of unit vectors (N, D), as unit vectors."""
    if size == vectors.shape[1]:
        return vectors
    return torch.nn.functional.normalize(vectors[:, :size], dim=1)


def contrastive_loss(
    queries: Tensor,
    passages: Tensor,
    right: Tensor,
    shares: Tensor,
    temperature: float,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean over queries (Q, D) of the cross-entropy of their targets among ``passages`` (N, D).

    Args:
        right: (R, 2), pairs of query and passage; ``shares`` (R,) is what each is worth of the query's target,
            together 1. A pair with share 0 is right, too, and counts neither way.
        smoothing: of the target, spread over all passages that count.
    """
    scores = queries @ passages.T / temperature
    asked, rows = right.unbind(1)
    away = torch.zeros_like(scores, dtype=torch.bool)
    away[asked, rows] = shares == 0
    total = scores.masked_fill(away, -1e30).logsumexp(1).mean()
    found = (shares * scores[asked, rows]).sum() / len(scores)
    if smoothing:
        spread = scores.masked_fill(away, 0).sum(1) / (~away).sum(1)
        found = (1 - smoothing) * found + smoothing * spread.mean()
    return total - found
