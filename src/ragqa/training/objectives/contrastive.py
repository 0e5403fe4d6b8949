"""Contrastive learning of an encoder: each question's own passage against all others (van den Oord et al. 2018).

A group is one passage with its questions, so that a passage is encoded once for all of them. With the unit vectors q
of the questions and p of the passages, and temperature τ, the loss of a question with the passage + is

    − q·p₊ / τ + log Σ_{p ∈ {p₊} ∪ N} exp(q·p / τ)

and with several right passages, each worth a share s of the target, − Σ s q·p₊ / τ takes the first place (Izacard and
Grave 2021, arXiv:2012.04584). N are the passages of the other training documents and of its own, but those that answer
the question, too. Their vectors come from a bank: those of the batch are fresh, the others as they were when last
encoded (Wang et al. 2020, arXiv:1912.06798), so that every question meets the hardest passages at no cost. Where only
the query side is trained no vector of the bank ever changes, and the loss is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ragqa.protocols import Vectors
from ragqa.runtimes.batches import pad
from ragqa.types import Example, Passage

Inputs = tuple[Tensor, Tensor, Tensor]
"""Ids, attention mask and token types, each (N, L)."""

CHUNK_ROWS = 32
"""Texts whose activations are in memory at once: a larger batch is encoded piece by piece, and again for its
gradient (Gao et al. 2021, arXiv:2101.06983)."""


@dataclass(frozen=True, slots=True)
class PassageGroup:
    """The row of a passage in the bank, its token ids where they are needed, and those of its questions.

    ``right`` holds, for each question, its right rows with their shares; one with share 0 counts neither way.
    """

    row: int
    passage: tuple[int, ...]
    questions: tuple[tuple[int, ...], ...]
    right: tuple[tuple[tuple[int, float], ...], ...]

    @property
    def length(self) -> int:
        return max(map(len, (self.passage, *self.questions)))


@dataclass(frozen=True, slots=True)
class ContrastiveBatch:
    """Questions (Q rows) and passages (P rows) as chunks of inputs; ``rows`` (P,) in the bank.

    ``right`` (R, 2) holds pairs of question and bank row, ``shares`` (R,) what each is worth of the question's target.
    """

    questions: tuple[Inputs, ...]
    passages: tuple[Inputs, ...]
    rows: Tensor
    right: Tensor
    shares: Tensor


class ContrastiveObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        passages: those of the training documents.
        vectors: (N, D), theirs from the encoder before training: the bank.
        both_sides: encode the passages of a batch anew, with gradients; otherwise the bank stands for them.
        prompts: what is written before a query and before a passage.
        sizes: the loss is the mean over vectors cut to their first so many dimensions, and whole (Kusupati et al.
            2022, arXiv:2205.13147); empty for whole vectors alone.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        passages: Sequence[Passage],
        vectors: Vectors,
        *,
        both_sides: bool,
        temperature: float,
        prompts: tuple[str, str] = ("", ""),
        sizes: Sequence[int] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._rows = {passage.id: row for row, passage in enumerate(passages)}
        self.bank = torch.from_numpy(np.array(vectors, dtype=np.float32))
        self.both_sides, self.temperature = both_sides, temperature
        self.sizes = sorted({*sizes, self.bank.shape[1]})
        self._query_prompt, self._passage_prompt = prompts
        self._groups: dict[tuple[str, str], PassageGroup] = {}

    def prepare(self, examples: Sequence[Example]) -> None:
        """Gather the questions of each passage; the first example of a passage stands for its group."""
        by_passage: dict[str, list[Example]] = {}
        for example in examples:
            if example.positives and example.positives[0].id in self._rows:
                by_passage.setdefault(example.positives[0].id, []).append(example)
        for mine in by_passage.values():
            passage = mine[0].positives[0]
            self._groups[mine[0].query.id, passage.id] = PassageGroup(
                self._rows[passage.id],
                self._ids([self._passage_prompt + passage.titled_text])[0] if self.both_sides else (),
                tuple(self._ids([self._query_prompt + e.query.text for e in mine])),
                tuple(self._right(e) for e in mine),
            )

    def _right(self, example: Example) -> tuple[tuple[int, float], ...]:
        """The right rows with their shares, which are 1 together, whatever is not in the bank."""
        shares = example.shares or (1.0, *[0.0] * (len(example.positives) - 1))
        known = [
            (self._rows[p.id], share)
            for p, share in zip(example.positives, shares, strict=True)
            if p.id in self._rows
        ]
        total = sum(share for _, share in known)
        return tuple((row, share / total) for row, share in known)

    def _ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [tuple(one.ids) for one in encoded]

    def group(self, example: Example, rng: np.random.Generator) -> PassageGroup | None:
        """The group that ``example`` stands for, or None when another one of its passage does."""
        return self._groups.get((example.query.id, example.positives[0].id)) if example.positives else None

    def collate(self, groups: Sequence[PassageGroup]) -> ContrastiveBatch:
        """Chunks of like length of all questions and passages of ``groups``."""
        asked = [
            (ids, right) for group in groups for ids, right in zip(group.questions, group.right, strict=True)
        ]
        asked.sort(key=lambda one: len(one[0]))
        read = sorted(groups, key=lambda group: len(group.passage))
        right = [(place, row, share) for place, (_, mine) in enumerate(asked) for row, share in mine]
        return ContrastiveBatch(
            chunks([ids for ids, _ in asked]),
            chunks([group.passage for group in read]) if self.both_sides else (),
            torch.tensor([group.row for group in read]),
            torch.tensor([(place, row) for place, row, _ in right]),
            torch.tensor([share for *_, share in right]),
        )

    def loss(self, model: Any, batch: ContrastiveBatch) -> Tensor:
        """Mean loss over the questions of ``batch``."""
        queries = encode(model, batch.questions)
        bank = self.bank
        if self.both_sides:
            fresh = encode(model, batch.passages)
            self.bank[batch.rows] = fresh.detach()
            bank = self.bank.index_copy(0, batch.rows, fresh)
        losses = [
            contrastive_loss(
                shortened(queries, size), shortened(bank, size), batch.right, batch.shares, self.temperature
            )
            for size in self.sizes
        ]
        return torch.stack(losses).mean()

    def state(self) -> dict[str, Tensor]:
        """The bank, where it changes."""
        return {"bank": self.bank} if self.both_sides else {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` gave."""
        if self.both_sides:
            self.bank = state["bank"].clone()


def encode(model: Any, batches: Sequence[Inputs]) -> Tensor:
    """Vectors (N, D) of all rows, in order; more than one batch keeps no activations for its gradient."""
    if len(batches) == 1:
        return torch.cat(list(model(*batches[0])))
    if not torch.is_grad_enabled():
        return torch.cat([model(*inputs)[0] for inputs in batches])
    return torch.cat([checkpoint(model, *inputs, use_reentrant=False)[0] for inputs in batches])


def chunks(texts: Sequence[Sequence[int]]) -> tuple[Inputs, ...]:
    """Token ids as padded inputs of at most ``CHUNK_ROWS`` rows, in order."""
    pieces = (pad(texts[at : at + CHUNK_ROWS]) for at in range(0, len(texts), CHUNK_ROWS))
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
    queries: Tensor, passages: Tensor, right: Tensor, shares: Tensor, temperature: float
) -> Tensor:
    """Mean over queries (Q, D) of the cross-entropy of their targets among ``passages`` (N, D).

    Args:
        right: (R, 2), pairs of query and passage; ``shares`` (R,) is what each is worth of the query's target,
            together 1. A pair with share 0 is right, too, and counts neither way.
    """
    scores = queries @ passages.T / temperature
    asked, rows = right.unbind(1)
    away = torch.zeros_like(scores, dtype=torch.bool)
    away[asked, rows] = shares == 0
    total = scores.masked_fill(away, -1e30).logsumexp(1)
    return total.mean() - (shares * scores[asked, rows]).sum() / len(scores)
