"""Which passage answers: one score for each pair of query and passage.

A group is a question with its own passage, the first, and others that do not answer it. *Listwise*, the passages
compete: with the scores s and the right passage + (Cao et al. 2007; Gao et al. 2021, arXiv:2101.08751)

    loss = log Σ_p exp(s_p) − s₊

*Binary*, each pair stands alone: the cross-entropy of σ(s) against "answers" or "does not".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.models.pair import PairModel
from ragqa.training.objectives.span import shared_norm_loss
from ragqa.training.objectives.texts import Texts, texts_of
from ragqa.types import Example, Passage, Span
from ragqa.windows import Window, Windower, pad, token_span, tokenize


@dataclass(frozen=True, slots=True)
class PairGroup:
    """One window for each passage of a question; the first passage answers."""

    windows: tuple[Window, ...]

    @property
    def length(self) -> int:
        return max(len(w.ids) for w in self.windows)

    @property
    def rows(self) -> int:
        return len(self.windows)


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Inputs are (N, L); ``group`` (N,) is the question of each pair, ``right`` (N,) whether it answers."""

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    group: Tensor
    right: Tensor


class PairObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        negatives: passages drawn for each question beside its own.
        listwise: whether the passages of a question compete.
        smoothing: probability that is taken from the right passage, or of each pair from what it is.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        negatives: int,
        listwise: bool = True,
        smoothing: float = 0.0,
        max_window_tokens: int = 384,
    ) -> None:
        self.windower = Windower.of(tokenizer, max_window_tokens)
        self.tokenizer, self.texts = tokenizer, Texts(partial(tokenize, tokenizer))
        self.by_group = listwise
        self.negatives, self.listwise, self.smoothing = negatives, listwise, smoothing

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once."""
        self.texts.add(texts_of(examples))

    def group(self, example: Example, rng: np.random.Generator) -> PairGroup | None:
        """One training group, or None where there is no passage to tell from another."""
        if not example.positives or not example.hard_negatives:
            return None
        order = rng.permutation(len(example.hard_negatives))[: self.negatives]
        span = example.spans[0] if example.spans else None
        windows = [self._window(example, example.positives[0], span)]
        windows += [self._window(example, example.hard_negatives[int(i)], None) for i in order]
        return PairGroup(tuple(windows))

    def _window(self, example: Example, passage: Passage, span: Span | None) -> Window:
        """The first window of a passage, or the first that holds the answer."""
        text = self.texts[passage.text]
        windows = list(
            self.windower.windows(self.texts[example.query.text].ids, self.texts[passage.title].ids, text.ids)
        )
        tokens = token_span(text, span.start, span.end) if span else None
        if tokens is None:
            return windows[0]
        return next(
            (w for w in windows if w.first <= tokens[0] and tokens[1] < w.first + w.length), windows[0]
        )

    def collate(self, groups: Sequence[PairGroup]) -> PairBatch:
        """Pad the windows of ``groups`` into one batch."""
        windows = [w for g in groups for w in g.windows]
        ids, mask, kinds, _ = pad(windows, self.windower)
        owner = np.repeat(np.arange(len(groups)), [len(g.windows) for g in groups])
        right = np.array([place == 0 for g in groups for place in range(len(g.windows))])
        return PairBatch(*map(torch.from_numpy, (ids, mask, kinds, owner, right)))

    def loss(self, model: PairModel, batch: PairBatch) -> Tensor:
        """Mean loss over the groups (listwise) or the pairs (binary) of ``batch``."""
        (scores,) = model(batch.ids, batch.mask, batch.kinds)
        if not self.listwise:
            targets = (1 - self.smoothing) * batch.right.float() + self.smoothing / 2
            return torch.nn.functional.binary_cross_entropy_with_logits(scores, targets)
        column, right = scores.unsqueeze(1), batch.right.unsqueeze(1)
        return shared_norm_loss(column, torch.ones_like(right), right, batch.group, self.smoothing)
