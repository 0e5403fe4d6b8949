"""Two models side by side on the same questions, and how well a span model reads with each question's own passage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ragqa.evaluation.answers import exact_match, f1
from ragqa.evaluation.significance import Difference, paired
from ragqa.spans import best_spans
from ragqa.training.objectives.span import SpanObjective
from ragqa.types import Example
from ragqa.windows import lay_out, pad

_BATCH = 32

Scores = Mapping[str, Sequence[float]]
"""Measure, as people read it → one score for each question."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure before and after, means over the same questions."""

    before: float
    after: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on ``questions`` questions that neither was trained on; the first measure is the leading one."""

    questions: int
    measures: Mapping[str, Measured]


def compare(before: Scores, after: Scores) -> Comparison:
    """Both models, by their scores on the same questions."""
    measures = {name: _measured(before[name], after[name]) for name in before}
    return Comparison(len(next(iter(before.values()))), measures)


def mean_f1(model: nn.Module, objective: SpanObjective, examples: Sequence[Example]) -> float:
    """Mean F1 over ``examples``."""
    return float(np.mean(reading_scores(model, objective, examples)["F1"]))


@torch.inference_mode()
def reading_scores(model: nn.Module, objective: SpanObjective, examples: Sequence[Example]) -> Scores:
    """F1 and exact match of each example, in their order."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].positives[0].text))
    found: dict[int, str] = {}
    for at in range(0, len(order), _BATCH):
        rows = order[at : at + _BATCH]
        found |= zip(rows, _answers(model, objective, [examples[row] for row in rows]), strict=True)
    pairs = [(found[row], example.answers) for row, example in enumerate(examples)]
    return {"F1": [f1(*pair) for pair in pairs], "exact match": [exact_match(*pair) for pair in pairs]}


def _measured(before: Sequence[float], after: Sequence[float]) -> Measured:
    return Measured(float(np.mean(before)), float(np.mean(after)), paired(before, after))


def _answers(model: nn.Module, objective: SpanObjective, batch: Sequence[Example]) -> list[str]:
    tokenizer, windower = objective.tokenizer, objective.windower
    passages = [e.positives[0] for e in batch]
    laid = [lay_out(tokenizer, windower, e.query.text, [p]) for e, p in zip(batch, passages, strict=True)]
    flat = [window for one in laid for window in one.windows]
    ids, mask, kinds, answerable = pad(flat, windower)
    start, end = (scores.numpy() for scores in model(*map(torch.from_numpy, (ids, mask, kinds))))
    found, row = [], 0
    for one, passage in zip(laid, passages, strict=True):
        rows = slice(row, row + len(one.windows))
        row += len(one.windows)
        spans = best_spans(start[rows], end[rows], answerable[rows], one.windows, one.owners, one.texts).spans
        found.append(passage.text[spans[0].start : spans[0].end] if spans else "")
    return found
