"""The next token of a text: what a causal language model learns from documents alone (Radford et al. 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ragqa.models.generator import Generator
from ragqa.training.objectives.generation import WritingBatch, padded_batch
from ragqa.training.objectives.texts import Texts
from ragqa.types import Example


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The token ids of one text, the one that ends it included."""

    ids: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> int:
        return 1


class ContinuationObjective:
    """Makes rows of tokens from passages, batches from them, and the loss of a batch."""

    by_group = True

    def __init__(self, tokenizer: Any, *, smoothing: float = 0.0) -> None:
        self._tokenizer, self._smoothing = tokenizer, smoothing
        self._known: Texts[TokenRow] = Texts(self._rows)

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every passage once."""
        self._known.add(e.positives[0].titled_text for e in examples if e.positives)

    def _rows(self, texts: list[str]) -> list[TokenRow]:
        end = int(self._tokenizer.eos_token_id)
        return [
            TokenRow((*ids, end)) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        ]

    def group(self, example: Example, rng: np.random.Generator) -> TokenRow | None:
        """The tokens of a passage, or None where none follows another."""
        row = self._known[example.positives[0].titled_text]
        return row if row.length > 1 else None

    def collate(self, groups: Sequence[TokenRow]) -> WritingBatch:
        """Pad the rows into one batch; every token is learned but the first."""
        rows = [group.ids for group in groups]
        return padded_batch(rows, rows, int(self._tokenizer.pad_token_id))

    def loss(self, model: Generator, batch: WritingBatch) -> Tensor:
        """Mean over the texts of the mean negative log-likelihood of their tokens."""
        found: Tensor = model(batch.ids, batch.mask, batch.labels, self._smoothing).mean()
        return found
