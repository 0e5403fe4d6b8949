"""Span reading with shared normalisation (Clark and Gardner 2018) and a null.

All windows of one question form a group: gold passage, perhaps a hard negative. One softmax runs over every
answerable position of the group, separately for starts and ends, so that scores compare across passages:

    loss = ½ Σ_{start,end} [ logsumexp(all positions of the group) − logsumexp(gold positions) ]

A group without the answer has the [CLS] positions of its windows as gold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.models.span import SpanModel
from ragqa.training.objectives.texts import Texts, texts_of
from ragqa.types import Example
from ragqa.windows import Window, Windower, pad, token_span, tokenize


@dataclass(frozen=True, slots=True)
class Group:
    """The windows of one question; gold holds (window, start position, end position)."""

    windows: tuple[Window, ...]
    gold: tuple[tuple[int, int, int], ...]

    @property
    def length(self) -> int:
        return max(len(w.ids) for w in self.windows)

    @property
    def rows(self) -> int:
        return len(self.windows)


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Inputs are (N, L); ``group`` (N,) is the question of each window; gold masks are (N, L)."""

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    answerable: Tensor
    group: Tensor
    gold_start: Tensor
    gold_end: Tensor


class SpanObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        hard_negative_share: share of groups that also hold a passage without the answer.
        unanswerable_share: share of groups that hold only such a passage.
        smoothing: probability that is taken from the answer and spread over all positions (Szegedy et al. 2016).
    """

    by_group = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_window_tokens: int = 384,
        overlap_tokens: int = 96,
        hard_negative_share: float = 0.25,
        unanswerable_share: float = 0.06,
        smoothing: float = 0.0,
    ) -> None:
        self.windower = Windower.of(tokenizer, max_window_tokens, overlap_tokens)
        self.tokenizer = tokenizer
        self.hard_negative_share = hard_negative_share
        self.unanswerable_share, self.smoothing = unanswerable_share, smoothing
        self._texts = Texts(partial(tokenize, tokenizer))

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once."""
        self._texts.add(texts_of(examples))

    def group(self, example: Example, rng: np.random.Generator) -> Group | None:
        """One training group, or None when nothing of the example can be learned from."""
        draw = rng.random()
        negatives = example.hard_negatives
        unanswerable = bool(negatives) and (not example.positives or draw < self.unanswerable_share)
        with_negative = bool(negatives) and draw < self.unanswerable_share + self.hard_negative_share
        windows: list[Window] = []
        gold: list[tuple[int, int, int]] = []
        if not example.answer_known or (not unanswerable and not example.spans):
            return None
        if not unanswerable:
            passage, span = example.positives[0], example.spans[0]
            text = self._texts[passage.text]
            tokens = token_span(text, span.start, span.end)
            if tokens is None:
                return None
            for window in self._windows(example, passage.text, passage.title):
                first, last = tokens[0] - window.first, tokens[1] - window.first
                if first >= 0 and last < window.length:
                    gold.append((len(windows), window.text_at + first, window.text_at + last))
                    windows.append(window)
            if not gold:
                return None
        if unanswerable or with_negative:
            passage = negatives[int(rng.integers(len(negatives)))]
            windows.append(next(iter(self._windows(example, passage.text, passage.title))))
        if unanswerable:
            gold = [(0, 0, 0)]
        return Group(tuple(windows), tuple(gold))

    def _windows(self, example: Example, text: str, title: str) -> list[Window]:
        ids = self._texts
        return list(self.windower.windows(ids[example.query.text].ids, ids[title].ids, ids[text].ids))

    def collate(self, groups: Sequence[Group]) -> SpanBatch:
        """Pad the windows of ``groups`` into one batch."""
        windows = [w for g in groups for w in g.windows]
        ids, mask, kinds, answerable = pad(windows, self.windower)
        gold_start, gold_end = np.zeros(ids.shape, dtype=np.bool_), np.zeros(ids.shape, dtype=np.bool_)
        owner, base = np.zeros(len(windows), dtype=np.int64), 0
        for number, group in enumerate(groups):
            owner[base : base + len(group.windows)] = number
            for window, start, end in group.gold:
                gold_start[base + window, start] = gold_end[base + window, end] = True
            base += len(group.windows)
        return SpanBatch(*map(torch.from_numpy, (ids, mask, kinds, answerable, owner, gold_start, gold_end)))

    def loss(self, model: SpanModel, batch: SpanBatch) -> Tensor:
        """Mean loss over the groups of ``batch``."""
        start, end = model(batch.ids, batch.mask, batch.kinds)
        pairs = ((start, batch.gold_start), (end, batch.gold_end))
        losses = [shared_norm_loss(s, batch.answerable, g, batch.group, self.smoothing) for s, g in pairs]
        return torch.stack(losses).mean()


def shared_norm_loss(
    scores: Tensor, answerable: Tensor, gold: Tensor, group: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Mean over groups of logsumexp(answerable) − (1 − ε) · logsumexp(gold) − ε · mean(answerable).

    ``scores`` and masks are (N, L), ``group`` (N,); ε is ``smoothing``.
    """
    total = _grouped_logsumexp(scores.masked_fill(~answerable, -1e30), group)
    right = _grouped_logsumexp(scores.masked_fill(~gold, -1e30), group)
    if smoothing:
        sums = torch.zeros_like(total).index_add(0, group, scores.masked_fill(~answerable, 0).sum(1))
        counts = torch.zeros_like(total).index_add(0, group, answerable.sum(1).to(total.dtype))
        right = (1 - smoothing) * right + smoothing * sums / counts
    return (total - right).mean()


def _grouped_logsumexp(scores: Tensor, group: Tensor) -> Tensor:
    rows = scores.logsumexp(1)
    groups = int(group.max()) + 1
    peak = torch.full((groups,), -1e30).scatter_reduce(0, group, rows.detach(), "amax")
    summed = torch.zeros(groups).index_add(0, group, (rows - peak[group]).exp())
    return summed.log() + peak
