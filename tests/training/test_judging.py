"""Two models side by side: batches change no score, and questions of one passage count together."""

from pathlib import Path

import numpy as np
import pytest

from ragqa.data import squad
from ragqa.models.span import SpanModel
from ragqa.training import judging
from ragqa.training.judging import compare, reading_scores
from ragqa.types import Example, Passage, Query
from ragqa.windows import load_tokenizer


def test_questions_read_together_are_scored_as_each_alone(
    tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SpanModel.from_backbone(tiny_bert, dropout=0.0).eval()
    tokenizer, examples = load_tokenizer(tiny_bert), squad.load(questions)
    together = reading_scores(model, tokenizer, examples)
    alone = [reading_scores(model, tokenizer, [example]) for example in examples]
    assert together == {name: [one[name][0] for one in alone] for name in together}
    assert len(set(together["F1"])) > 1
    monkeypatch.setattr(judging, "_TOKENS", 1)  # each window stands alone
    assert reading_scores(model, tokenizer, examples) == together


def test_questions_about_one_passage_are_no_independent_witnesses() -> None:
    passages = [Passage("guide", 20 * n, 20 * n + 10, f"Passage {n:02}") for n in range(8)]
    asked = [Example(Query(f"{n}?"), ("a",), (passages[n // 10],)) for n in range(80)]
    before = np.zeros(80)
    after = np.repeat([1.0, 1, 1, 1, 1, 0, 0, 0], 10) - np.repeat([0.0, 0, 0, 0, 0, 1, 1, 0], 10)
    measured = compare({"F1": before.tolist()}, {"F1": after.tolist()}, asked).measures["F1"]
    alone = compare(
        {"F1": before.tolist()}, {"F1": after.tolist()}, [Example(e.query, e.answers) for e in asked]
    ).measures["F1"]
    assert measured.difference.mean == alone.difference.mean == pytest.approx(3 / 8)
    assert alone.difference.p < 0.001 < 0.2 < measured.difference.p
