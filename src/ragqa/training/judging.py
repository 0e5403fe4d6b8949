"""How well a span model reads: exact match and F1 with each question's own passage, and two models side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ragqa.evaluation.answers import exact_match, f1
from ragqa.evaluation.significance import Difference, paired
from ragqa.spans import best_spans
from ragqa.training.objectives.span import SpanObjective
from ragqa.types import Example
from ragqa.windows import pad, tokenize

_BATCH = 32

Model = tuple[nn.Module, SpanObjective]
"""A span model and the objective that lays out its windows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure before and after, means over the same questions."""

    before: float
    after: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two readers on ``questions`` answerable questions that neither was trained on."""

    questions: int
    f1: Measured
    exact_match: Measured


def compare(before: Model, after: Model, examples: Sequence[Example]) -> Comparison:
    """Both models on the same questions."""
    scores = [scored(model, objective, examples) for model, objective in (before, after)]
    f1s, exacts = [_measured(*pair) for pair in zip(*scores, strict=True)]
    return Comparison(len(examples), f1s, exacts)


def mean_f1(model: nn.Module, objective: SpanObjective, examples: Sequence[Example]) -> float:
    """Mean F1 over ``examples``."""
    return float(np.mean(scored(model, objective, examples)[0]))


@torch.inference_mode()
def scored(
    model: nn.Module, objective: SpanObjective, examples: Sequence[Example]
) -> tuple[list[float], list[float]]:
    """F1 and exact match of each example, in their order."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].positives[0].text))
    found: dict[int, str] = {}
    for at in range(0, len(order), _BATCH):
        rows = order[at : at + _BATCH]
        found |= zip(rows, _answers(model, objective, [examples[row] for row in rows]), strict=True)
    pairs = [(found[row], example.answers) for row, example in enumerate(examples)]
    return [f1(*pair) for pair in pairs], [exact_match(*pair) for pair in pairs]


def _measured(before: list[float], after: list[float]) -> Measured:
    return Measured(float(np.mean(before)), float(np.mean(after)), paired(before, after))


def _answers(model: nn.Module, objective: SpanObjective, batch: Sequence[Example]) -> list[str]:
    passages = [e.positives[0] for e in batch]
    tokenizer, windower = objective.tokenizer, objective.windower
    queries = tokenize(tokenizer, [e.query.text for e in batch])
    titles = tokenize(tokenizer, [p.title for p in passages])
    texts = tokenize(tokenizer, [p.text for p in passages])
    cut = [
        list(windower.windows(q.ids, t.ids, x.ids)) for q, t, x in zip(queries, titles, texts, strict=True)
    ]
    flat = [window for windows in cut for window in windows]
    ids, mask, kinds, answerable = pad(flat, windower)
    start, end = (scores.numpy() for scores in model(*map(torch.from_numpy, (ids, mask, kinds))))
    found, row = [], 0
    for windows, text, passage in zip(cut, texts, passages, strict=True):
        rows = slice(row, row + len(windows))
        row += len(windows)
        owners = [0] * len(windows)
        spans = best_spans(start[rows], end[rows], answerable[rows], windows, owners, [text]).spans
        found.append(passage.text[spans[0].start : spans[0].end] if spans else "")
    return found
