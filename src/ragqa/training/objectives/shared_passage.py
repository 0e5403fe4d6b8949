"""Which option is right, where all questions on a passage share one reading of it.

A group is a passage with what is asked of it; a batch of them has a small part of the tokens that it would have with a
passage in every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.choices import option_segment, passage_pieces
from ragqa.models.choice import ChoiceModel
from ragqa.models.shared_passage import SharedPassages, lay_out
from ragqa.training.objectives.choice import (
    Floats,
    OptionsObjective,
    best_rows,
    drawn_options,
    taught_of,
)
from ragqa.types import Example, Passage
from ragqa.windows import Ints

QUESTIONS = 16
"""In a group, at most: of a passage with more there are several groups."""


@dataclass(frozen=True, slots=True)
class OptionsGroup:
    """A passage in pieces of tokens, and of each example on it the tokens of each option behind its question.

    ``right`` is the right option of each example. ``taught`` (O,) is what teachers say of the options of a single one.
    """

    examples: tuple[Example, ...]
    pieces: tuple[Ints, ...]
    segments: tuple[tuple[Ints, ...], ...]
    right: tuple[int, ...]
    taught: Floats | None = None

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
    ``right`` (O,) whether it is the right one, and ``taught`` (O,) what teachers say of it, NaN where they say nothing.
    """

    passages: SharedPassages
    option: Tensor
    question: Tensor
    right: Tensor
    taught: Tensor


class SharedPassageObjective(OptionsObjective):
    """A group is a passage with what is asked of it, made for the first example on it; there is none for the others."""

    by_group = False

    def __init__(self, tokenizer: Tokenizer, **options: Any) -> None:
        super().__init__(tokenizer, **options)
        # By the id of its first example, which it holds: nothing else can have that id.
        self._groups: dict[int, OptionsGroup] = {}

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once, and make groups that hold each of them once."""
        super().prepare(examples)
        by_passage: dict[Passage | Example, list[Example]] = {}
        for example in examples:
            self._groups.pop(id(example), None)  # in another group, when it was prepared with others
            if example.choice is not None:
                place = example.positives[0] if example.positives else example
                by_passage.setdefault(place, []).append(example)
        for mine in by_passage.values():
            for at in range(0, len(mine), QUESTIONS):
                self._groups[id(mine[at])] = self._of(mine[at : at + QUESTIONS])

    def _of(self, examples: Sequence[Example]) -> OptionsGroup:
        read = examples[0].positives[:1]
        text = self._known[read[0].titled_text] if read else np.zeros(0, dtype=np.int64)
        return OptionsGroup(
            tuple(examples),
            tuple(piece for _, piece in passage_pieces(self.windower, text)),
            tuple(self._segments(e.query.text, e.query.choices) for e in examples),
            tuple(int(e.choice or 0) for e in examples),
        )

    def _segments(self, question: str, options: Sequence[str]) -> tuple[Ints, ...]:
        known = self._known
        return tuple(option_segment(self.windower, known[question], known[option]) for option in options)

    def group(self, example: Example, rng: np.random.Generator) -> OptionsGroup | None:
        """The group that begins with ``example``, which has been prepared."""
        group = self._groups.get(id(example))
        if group is None or example.query not in self.lessons or example.positives:
            return group
        options, right, taught = drawn_options(example, self.lessons, rng)
        segments = self._segments(example.query.text, options)
        return replace(group, segments=(segments,), right=(right,), taught=taught)

    def collate(self, groups: Sequence[OptionsGroup]) -> PassageBatch:
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
        sizes = [len(segments) for g in groups for segments in g.segments]
        question = np.repeat(np.arange(len(sizes)), sizes)
        places = zip(sizes, (right for g in groups for right in g.right), strict=True)
        right = np.array([place == gold for size, gold in places for place in range(size)])
        taught = taught_of([(sum(map(len, g.segments)), g.taught) for g in groups])
        return PassageBatch(
            lay_out(pieces, segments),
            *map(torch.from_numpy, (np.concatenate(option), question, right, taught)),
        )

    def scores(self, model: ChoiceModel, batch: PassageBatch) -> Tensor:
        """One score for each option, (O,): that of its best piece of the passage."""
        (rows,) = model(batch.passages)
        return best_rows(rows, batch.option, len(batch.question))
