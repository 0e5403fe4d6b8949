"""Guess hidden words: of 15 % of the tokens most are masked, some replaced, some left (Devlin et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.errors import ModelError
from ragqa.runtimes.batches import pad
from ragqa.training.objectives.texts import Texts
from ragqa.types import Example
from ragqa.windows import Ints

_MASKS = ("[MASK]", "<mask>")
_MASKED, _REPLACED = 0.8, 0.9
"""Of the chosen tokens 80 % become the mask, 10 % another word, 10 % stay."""


@dataclass(frozen=True, slots=True)
class MaskedText:
    """What the model reads, and at the chosen places the words that stood there; each (L,)."""

    ids: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    chosen: npt.NDArray[np.bool_]

    @property
    def length(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """Inputs and ``chosen`` are (N, L); ``words`` (M,) stood at the chosen places, in reading order."""

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    chosen: Tensor
    words: Tensor


class MaskedObjective:
    """Makes masked texts from passages, batches from them, and the loss of a batch.

    Args:
        share: of the tokens that are chosen, at least one.
        smoothing: probability that is taken from the hidden word and spread over all.
    """

    by_group = False

    def __init__(self, tokenizer: Tokenizer, *, share: float = 0.15, smoothing: float = 0.0) -> None:
        self._tokenizer, self._share, self._smoothing = tokenizer, share, smoothing
        known = [found for name in _MASKS if (found := tokenizer.token_to_id(name)) is not None]
        if not known:
            raise ModelError("the tokenizer has no mask token", accepted=" or ".join(_MASKS))
        self._mask_id = int(known[0])
        self._words = tokenizer.get_vocab_size()
        self._known: Texts[tuple[Ints, npt.NDArray[np.bool_]]] = Texts(self._read)

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every passage once."""
        self._known.add(e.positives[0].titled_text for e in examples if e.positives)

    def _read(self, texts: list[str]) -> list[tuple[Ints, npt.NDArray[np.bool_]]]:
        """Of each text its tokens, and which of them are special."""
        return [
            (np.array(one.ids, dtype=np.int64), np.array(one.special_tokens_mask, dtype=np.bool_))
            for one in self._tokenizer.encode_batch(texts)
        ]

    def group(self, example: Example, rng: np.random.Generator) -> MaskedText | None:
        """The passage with some words hidden, or None where there is none to hide."""
        words, special = self._known[example.positives[0].titled_text]
        places = np.flatnonzero(~special)
        if len(places) < 2:
            return None
        picked = rng.permutation(places)[: max(1, round(self._share * len(places)))]
        chosen = np.zeros(len(words), dtype=np.bool_)
        chosen[picked] = True
        ids, draw = words.copy(), rng.random(len(picked))
        ids[picked[draw < _MASKED]] = self._mask_id
        other = picked[(draw >= _MASKED) & (draw < _REPLACED)]
        ids[other] = rng.integers(self._words, size=len(other))
        return MaskedText(ids, words, chosen)

    def collate(self, groups: Sequence[MaskedText]) -> MaskedBatch:
        """Pad the texts of ``groups`` into one batch."""
        ids, mask, kinds = pad([g.ids.tolist() for g in groups])
        chosen = np.zeros(ids.shape, dtype=np.bool_)
        for row, group in enumerate(groups):
            chosen[row, : group.length] = group.chosen
        words = np.concatenate([g.words[g.chosen] for g in groups])
        return MaskedBatch(*map(torch.from_numpy, (ids, mask, kinds, chosen, words)))

    def loss(self, model: Any, batch: MaskedBatch) -> Tensor:
        """Mean cross-entropy over the hidden words."""
        scores = model(batch.ids, batch.mask, batch.kinds, batch.chosen)
        return torch.nn.functional.cross_entropy(scores, batch.words, label_smoothing=self._smoothing)
