"""The losses over pairs against torch's own, and what stands in a group."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ragqa.training.objectives.pair import PairObjective
from ragqa.types import Example, Passage, Query, Span
from ragqa.windows import load_tokenizer


def passage(name: str, text: str) -> Passage:
    return Passage(name, 0, len(text), text, "notes")


GOLD = passage("a", "the walrus lives in the harbour")
OTHERS = tuple(passage(name, f"the heron of group {n} lives") for n, name in enumerate("bcde"))
EXAMPLES = [
    Example(Query("where walrus", id="1"), ("harbour",), (GOLD,), (Span(24, 31),), OTHERS),
    Example(Query("where heron", id="2"), (), (OTHERS[0],), (), (GOLD,)),
]


def scored(scores: list[float]) -> Any:
    return lambda *_: (torch.tensor(scores),)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("listwise", [True, False])
def test_the_loss_is_the_cross_entropy_of_the_right_passage(
    tiny_bert: Path, listwise: bool, smoothing: float
) -> None:
    objective = PairObjective(load_tokenizer(tiny_bert), negatives=2, listwise=listwise, smoothing=smoothing)
    objective.prepare(EXAMPLES)
    groups = [objective.group(e, np.random.default_rng(0)) for e in EXAMPLES]
    assert [len(g.windows) for g in groups if g] == [3, 2]
    batch = objective.collate([g for g in groups if g])
    assert batch.group.tolist() == [0, 0, 0, 1, 1]
    assert batch.right.tolist() == [True, False, False, True, False]
    scores = [1.0, 0.5, -2.0, 0.0, 3.0]
    found = objective.loss(scored(scores), batch)
    if listwise:
        rows = [torch.tensor(scores[:3]), torch.tensor(scores[3:])]
        losses = [
            torch.nn.functional.cross_entropy(r, torch.tensor(0), label_smoothing=smoothing) for r in rows
        ]
        expected = float(sum(losses)) / 2
    else:
        pairs = torch.stack([-torch.tensor(scores), torch.tensor(scores)], 1)  # not right, right
        kinds = batch.right.long()
        expected = float(torch.nn.functional.cross_entropy(pairs / 2, kinds, label_smoothing=smoothing))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_question_without_a_passage_or_without_another_teaches_nothing(tiny_bert: Path) -> None:
    objective = PairObjective(load_tokenizer(tiny_bert), negatives=2)
    lone = [Example(Query("?"), hard_negatives=(GOLD,)), Example(Query("?"), positives=(GOLD,))]
    objective.prepare(lone)
    assert [objective.group(e, np.random.default_rng(0)) for e in lone] == [None, None]


def test_of_a_long_passage_the_window_with_the_answer_is_read(tiny_bert: Path) -> None:
    text = "the heron lives. " * 60 + "the walrus lives in the harbour"
    long = passage("long", text)
    example = Example(
        Query("where walrus"), ("harbour",), (long,), (Span(text.index("harbour"), len(text)),), OTHERS
    )
    objective = PairObjective(load_tokenizer(tiny_bert), negatives=1, max_window_tokens=128)
    objective.prepare([example])
    group = objective.group(example, np.random.default_rng(0))
    assert group is not None
    assert group.windows[0].first > 0
    assert group.windows[1].first == 0
    assert group.length <= 128
