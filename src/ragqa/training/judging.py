"""Two models side by side on the same questions, and how well a span model reads with each question's own passage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import nn

from ragqa.evaluation.answers import exact_match, f1
from ragqa.evaluation.significance import Difference, paired
from ragqa.runtimes.batches import plan
from ragqa.spans import best_spans
from ragqa.types import Example
from ragqa.windows import Windower, lay_out, pad, stacked_rows

_TOKENS = 4096
"""Of a batch that is only read: what it needs in memory stays far below that of a training step."""

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
    """Two models on ``questions`` questions that neither was trained on; the first measure is the leading one.

    ``confusion``: of the model after, where it chooses among options; the right letter in rows, the chosen in columns.
    """

    questions: int
    measures: Mapping[str, Measured]
    confusion: npt.NDArray[np.int64] | None = None


def compare(before: Scores, after: Scores, asked: Sequence[Example]) -> Comparison:
    """Both models, by their scores on the same questions; those about one passage are no independent witnesses."""
    passages = [e.positives[0].id if e.positives else f"question {n}" for n, e in enumerate(asked)]
    measures = {
        name: Measured(
            float(np.mean(before[name])),
            float(np.mean(after[name])),
            paired(before[name], after[name], groups=passages),
        )
        for name in before
    }
    return Comparison(len(asked), measures)


def mean_f1(model: nn.Module, tokenizer: Tokenizer, examples: Sequence[Example]) -> float:
    """Mean F1 over ``examples``."""
    return float(np.mean(reading_scores(model, tokenizer, examples)["F1"]))


@torch.inference_mode()
def reading_scores(model: nn.Module, tokenizer: Tokenizer, examples: Sequence[Example]) -> Scores:
    """F1 and exact match of each example, in their order."""
    windower = Windower.of(tokenizer)
    laid = [lay_out(tokenizer, windower, e.query.text, e.positives[:1]) for e in examples]
    windows = [window for one in laid for window in one.windows]
    read: dict[int, tuple[npt.NDArray[Any], ...]] = {}
    for rows in plan([len(window.ids) for window in windows], _TOKENS):
        ids, mask, kinds, answerable = pad([windows[row] for row in rows], windower)
        start, end = (scores.numpy() for scores in model(*map(torch.from_numpy, (ids, mask, kinds))))
        read |= zip(rows, zip(start, end, answerable, strict=True), strict=True)
    found, first = [], 0
    for one, example in zip(laid, examples, strict=True):
        mine = [read[first + row] for row in range(len(one.windows))]
        first += len(mine)
        start, end, answerable = (stacked_rows([row[part] for row in mine]) for part in range(3))
        spans = best_spans(start, end, answerable, one.windows, one.owners, one.texts).spans
        found.append(example.positives[0].text[spans[0].start : spans[0].end] if spans else "")
    pairs = [(text, example.answers) for text, example in zip(found, examples, strict=True)]
    return {"F1": [f1(*pair) for pair in pairs], "exact match": [exact_match(*pair) for pair in pairs]}
