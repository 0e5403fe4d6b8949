"""Writing the answer: the negative log-likelihood of its tokens; those of the prompt are not learned.

With the reward r, token F1 or ROUGE-L, a share λ of the loss is sequence-level: of an answer y that the model draws,
set against the one ŷ that it finds likeliest (self-critical training, Rennie et al. 2017, arXiv:1612.00563),

    loss = (1 − λ) · mean_t −log P(a_t)  +  λ · (r(ŷ) − r(y)) · mean_t log P(y_t)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ragqa.errors import ConfigError
from ragqa.evaluation.answers import f1, rouge_l
from ragqa.models.generator import IGNORED, Generator
from ragqa.prompting import NOT_HERE, Prompter, language_of
from ragqa.sampling import Sampling
from ragqa.types import Example, Passage

REWARDS: Mapping[str, Callable[[str, Sequence[str]], float]] = {"f1": f1, "rouge_l": rouge_l}

FROM_P = Sampling(temperature=1.0)
"""Draws from the very P whose logarithm the loss has: the gradient is right on average for no narrower draw."""


@dataclass(frozen=True, slots=True)
class WritingGroup:
    """One question: token ids of its prompt and of its answer, and every accepted wording."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    accepted: tuple[str, ...]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def rows(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class WritingBatch:
    """Inputs and labels of ``models.generator``; ``groups`` are the questions that they were made from."""

    ids: Tensor
    mask: Tensor
    labels: Tensor
    groups: tuple[WritingGroup, ...]


class WritingObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        is_seq2seq: whether prompt and answer are two sequences.
        passages: in a prompt: one that answers, the others mined, in an order that is drawn.
        unanswerable_share: of the groups that hold only passages that do not answer.
        reward, reward_share: see above.
    """

    by_group = True

    def __init__(
        self,
        tokenizer: Any,
        prompter: Prompter,
        *,
        is_seq2seq: bool,
        passages: int = 1,
        unanswerable_share: float = 0.0,
        smoothing: float = 0.0,
        reward: str | None = None,
        reward_share: float = 0.0,
        max_answer_tokens: int = 64,
    ) -> None:
        self.tokenizer, self.prompter, self.is_seq2seq = tokenizer, prompter, is_seq2seq
        self.passages, self.unanswerable_share = passages, unanswerable_share
        self.smoothing, self.max_answer_tokens = smoothing, max_answer_tokens
        self.reward, self.reward_share = (None if reward is None else REWARDS[reward]), reward_share

    def prepare(self, examples: Sequence[Example]) -> None:
        """Prompts are made when they are drawn."""

    def group(self, example: Example, rng: np.random.Generator) -> WritingGroup | None:
        """One training group, or None where the words that answer are not known or find no room in the prompt."""
        if not example.answer_known:
            return None
        question = example.query.text
        negatives = [example.hard_negatives[int(i)] for i in rng.permutation(len(example.hard_negatives))]
        answerable = bool(example.answers)
        if answerable and negatives and rng.random() < self.unanswerable_share:
            answerable = False
        shown = [*(example.positives[:1] if answerable else ()), *negatives][: self.passages]
        accepted = example.answers if answerable else (NOT_HERE[language_of(question)],)
        order = rng.permutation(len(shown))
        try:
            prompt = self.prompter.prompt(question, [shown[int(i)] for i in order])
        except ConfigError:  # a question that leaves no room at all
            return None
        if answerable and shown and not _holds(prompt.passages, accepted):
            return None
        answer = self.prompter.answer_ids(accepted[0])
        if len(answer) > self.max_answer_tokens:
            return None
        return WritingGroup(prompt.ids, answer, tuple(accepted))

    def collate(self, groups: Sequence[WritingGroup]) -> WritingBatch:
        """Pad ``groups`` into one batch, on the right."""
        pad = int(self.tokenizer.pad_token_id)
        if self.is_seq2seq:
            ids, labels = [g.prompt for g in groups], [g.answer for g in groups]
        else:
            ids = [(*g.prompt, *g.answer) for g in groups]
            labels = [(*(IGNORED for _ in g.prompt), *g.answer) for g in groups]
        return padded_batch(ids, labels, pad, groups)

    def loss(self, model: Generator, batch: WritingBatch) -> Tensor:
        """Mean loss over the groups of ``batch``."""
        supervised: Tensor = model(batch.ids, batch.mask, batch.labels, self.smoothing).mean()
        if self.reward is None or self.reward_share == 0:
            return supervised
        share = self.reward_share
        return (1 - share) * supervised + share * self._self_critical(model, batch.groups)

    def _self_critical(self, model: Generator, groups: Sequence[WritingGroup]) -> Tensor:
        prompts = [g.prompt for g in groups]
        longest = self.max_answer_tokens
        drawn = model.write(prompts, self.tokenizer, max_tokens=longest, sampling=FROM_P)
        likeliest = model.write(prompts, self.tokenizer, max_tokens=longest)
        gain = [
            self._worth(one.ids, g) - self._worth(other.ids, g)
            for one, other, g in zip(drawn, likeliest, groups, strict=True)
        ]
        end = int(self.tokenizer.eos_token_id)
        said = self.collate(
            [
                replace(g, answer=(*one.ids, end) if one.ended else one.ids)
                for one, g in zip(drawn, groups, strict=True)
            ]
        )
        negative: Tensor = model(said.ids, said.mask, said.labels)
        return (torch.tensor(gain) * negative).mean()

    def _worth(self, ids: Sequence[int], group: WritingGroup) -> float:
        assert self.reward is not None
        return self.reward(self.tokenizer.decode(ids, skip_special_tokens=True), group.accepted)


def _holds(passages: Sequence[Passage], accepted: Sequence[str]) -> bool:
    """Whether one of the passages still holds an accepted wording, also within a word, as it was marked."""
    return any(answer.casefold() in p.text.casefold() for p in passages for answer in accepted)


def padded_batch(
    ids: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    pad: int,
    groups: Sequence[WritingGroup] = (),
) -> WritingBatch:
    """Rows of inputs and labels, padded on the right."""
    inputs = _padded(ids, pad)
    lengths = torch.tensor([len(row) for row in ids])
    mask = (torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)).long()
    return WritingBatch(inputs, mask, _padded(labels, IGNORED), tuple(groups))


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    found = torch.full((len(rows), max(map(len, rows))), value)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row)
    return found
