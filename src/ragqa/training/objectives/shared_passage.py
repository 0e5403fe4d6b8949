"""Which option is right, where all questions on a passage share one reading of it.

A group is a passage with what is asked of it; a batch of them has a small part of the tokens that it would have with a
passage in every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.choices import option_segment, passage_pieces, token_ids
from ragqa.models.choice import ChoiceModel
from ragqa.models.shared_passage import SharedPassages, lay_out
from ragqa.training.objectives.choice import best_rows, choice_loss
from ragqa.types import Example, Passage
from ragqa.windows import Ints, Windower

QUESTIONS = 16
"""In a group, at most: of a passage with more there are several groups."""


@dataclass(frozen=True, slots=True)
class PassageGroup:
    """A passage in pieces of tokens, and of each example on it the tokens of each option behind its question."""

    examples: tuple[Example, ...]
    pieces: tuple[Ints, ...]
    segments: tuple[tuple[Ints, ...], ...]

    @property
    def length(self) -> int:
        """Tokens to compute."""
        asked = sum(len(segment) for question in self.segments for segment in question)
        return sum(map(len, self.pieces)) + len(self.pieces) * asked

    @property
    def rows(self) -> int:
        return len(self.pieces) * sum(map(len, self.segments))


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """What the model computes, with N rows: an option and a piece of its passage each.

    ``option`` (N,) is the option of each row, counted over the batch, ``question`` (O,) the question of each option,
    and ``right`` (O,) whether it is the right one.
    """

    passages: SharedPassages
    option: Tensor
    question: Tensor
    right: Tensor


class SharedPassageObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    ``group`` answers for the first example on a passage, and gives None for the others, which are in its group.
    """

    def __init__(self, tokenizer: Tokenizer, *, smoothing: float = 0.0) -> None:
        self.tokenizer, self.smoothing = tokenizer, smoothing
        self.windower = Windower.of(tokenizer)
        self._groups: dict[
            int, PassageGroup
        ] = {}  # a group holds its examples: no id of theirs is given to others

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make the groups of ``examples``, which hold each of them once."""
        by_passage: dict[Passage | Example, list[Example]] = {}
        for example in examples:
            if example.choice is not None:
                place = example.positives[0] if example.positives else example
                by_passage.setdefault(place, []).append(example)
        parts = [
            mine[at : at + QUESTIONS] for mine in by_passage.values() for at in range(0, len(mine), QUESTIONS)
        ]
        former = [self._groups.pop(id(mine[0]), None) for mine in parts]
        for example in examples:  # in groups with others, when it was prepared before
            self._groups.pop(id(example), None)
        again = [
            (mine, group if group is not None and _same(group.examples, mine) else None)
            for mine, group in zip(parts, former, strict=True)
        ]
        texts = {
            text
            for mine, group in again
            if group is None
            for e in mine
            for text in (e.query.text, *e.query.choices, *(p.titled_text for p in e.positives[:1]))
        }
        known = dict(zip(texts, token_ids(self.tokenizer, list(texts)), strict=True))
        for mine, group in again:
            self._groups[id(mine[0])] = self._of(mine, known) if group is None else group

    def _of(self, examples: Sequence[Example], known: dict[str, Ints]) -> PassageGroup:
        read = examples[0].positives[:1]
        text = known[read[0].titled_text] if read else np.zeros(0, dtype=np.int64)
        segments = tuple(
            tuple(
                option_segment(self.windower, known[e.query.text], known[option])
                for option in e.query.choices
            )
            for e in examples
        )
        pieces = tuple(piece for _, piece in passage_pieces(self.windower, text))
        return PassageGroup(tuple(examples), pieces, segments)

    def group(self, example: Example, rng: np.random.Generator) -> PassageGroup | None:
        """The group that begins with ``example``, which has been prepared."""
        return self._groups.get(id(example))

    def collate(self, groups: Sequence[PassageGroup]) -> PassageBatch:
        """Lay out the tokens of ``groups`` as one batch."""
        pieces, segments, option = [], [], []
        begin = 0
        for group in groups:
            rows = [segment for question in group.segments for segment in question]
            for piece in group.pieces:
                pieces.append(piece)
                segments.append(rows)
                option.append(begin + np.arange(len(rows)))
            begin += len(rows)
        asked = [e for group in groups for e in group.examples]
        question = np.repeat(np.arange(len(asked)), [len(e.query.choices) for e in asked])
        right = np.array([place == e.choice for e in asked for place in range(len(e.query.choices))])
        return PassageBatch(
            lay_out(pieces, segments),
            *map(torch.from_numpy, (np.concatenate(option), question, right)),
        )

    def loss(self, model: ChoiceModel, batch: PassageBatch) -> Tensor:
        """Mean over the questions of ``batch`` of the cross-entropy."""
        return choice_loss(self.scores(model, batch), batch.question, batch.right, self.smoothing)

    @staticmethod
    def scores(model: ChoiceModel, batch: PassageBatch) -> Tensor:
        """One score for each option, (O,): that of its best piece of the passage."""
        (rows,) = model(batch.passages)
        return best_rows(rows, batch.option, len(batch.question))


def _same(one: Sequence[Example], other: Sequence[Example]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
