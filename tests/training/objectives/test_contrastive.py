"""The contrastive loss against a plain sum, and a batch in pieces against the whole batch."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragqa.models.bi_encoder import BiEncoder
from ragqa.training.objectives import contrastive
from ragqa.training.objectives.contrastive import ContrastiveObjective, contrastive_loss
from ragqa.types import Example, Passage, Query
from ragqa.windows import load_tokenizer


def unit(rows: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


@given(st.integers(1, 5), st.integers(2, 6), st.integers(0, 99), st.sampled_from([0.02, 0.1, 1.0]))
def test_the_loss_is_the_mean_log_share_of_the_right_passage(
    queries: int, passages: int, seed: int, temperature: float
) -> None:
    q, p = unit(queries, seed), unit(passages, seed + 1)
    gold = torch.arange(queries) % passages
    blocked = [(0, (int(gold[0]) + 1) % passages)] if passages > 2 else []
    found = contrastive_loss(q, p, gold, torch.tensor(blocked, dtype=torch.long).reshape(-1, 2), temperature)
    total = 0.0
    for i in range(queries):
        shares = [
            math.exp(float(q[i] @ p[j]) / temperature) for j in range(passages) if (i, j) not in blocked
        ]
        total -= math.log(math.exp(float(q[i] @ p[gold[i]]) / temperature) / sum(shares))
    assert float(found) == pytest.approx(total / queries, rel=1e-4, abs=1e-5)


def examples() -> list[Example]:
    passages = [
        Passage("d", n, n + 1, text)
        for n, text in enumerate(["the walrus", "the heron", "a toad", "the otter"])
    ]
    asked = [("walrus live?", [0]), ("how often walrus?", [0, 3]), ("heron?", [1]), ("where toad?", [2])]
    return [
        Example(Query(text, id=str(n)), positives=tuple(passages[r] for r in rows))
        for n, (text, rows) in enumerate(asked)
    ]


def objective_of(bert: Path, *, both_sides: bool, **more: Any) -> tuple[ContrastiveObjective, list[Any]]:
    asked = examples()
    passages = list({p.id: p for e in asked for p in e.positives}.values())
    found = ContrastiveObjective(
        load_tokenizer(bert),
        passages,
        (unit(len(passages), 3).repeat(1, 8) / math.sqrt(8)).numpy(),
        both_sides=both_sides,
        temperature=0.1,
        **more,
    )
    found.prepare(asked)
    rng = np.random.default_rng(0)
    return found, [g for g in (found.group(e, rng) for e in asked) if g is not None]


def test_a_group_is_a_passage_with_all_its_questions(tiny_bert: Path) -> None:
    objective, groups = objective_of(tiny_bert, both_sides=True)
    assert [len(g.questions) for g in groups] == [2, 1, 1]
    batch = objective.collate(groups)
    assert len(batch.gold) == 4
    assert len(batch.rows) == 3
    assert sorted(batch.gold.tolist()) == [0, 0, 2, 3]  # rows in order of appearance; the otter is row 1
    ((place, row),) = batch.blocked.tolist()
    assert row == 1
    assert batch.gold[place] == 0


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(
    tiny_bert: Path, both_sides: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for rows in (32, 1):
        monkeypatch.setattr(contrastive, "CHUNK_ROWS", rows)
        model = BiEncoder.from_folder(tiny_bert, training=True)
        objective, groups = objective_of(tiny_bert, both_sides=both_sides)
        objective.loss(model, objective.collate(groups)).backward()  # type: ignore[no-untyped-call]
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    whole, pieces = gradients
    assert whole.keys() == pieces.keys()
    for name, gradient in whole.items():
        assert torch.allclose(gradient, pieces[name], atol=1e-5), name


def test_the_bank_follows_the_passages_that_are_trained(tiny_bert: Path) -> None:
    model = BiEncoder.from_folder(tiny_bert, training=True)
    for both_sides in (False, True):
        objective, groups = objective_of(tiny_bert, both_sides=both_sides)
        before = objective.bank.clone()
        objective.loss(model, objective.collate(groups[:1]))
        moved = (objective.bank != before).any(1).tolist()
        assert moved == [both_sides, False, False, False]


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_loss_over_sizes_is_the_mean_of_those_of_shortened_vectors(
    tiny_bert: Path, both_sides: bool
) -> None:
    model = BiEncoder.from_folder(tiny_bert)
    objective, groups = objective_of(tiny_bert, both_sides=both_sides, sizes=(4, 16))
    batch = objective.collate(groups)
    found = objective.loss(model, batch)
    queries = contrastive.encode(model, batch.questions)
    expected = []
    for size in (4, 16, 32):
        q, p = (
            vectors[:, :size] / vectors[:, :size].norm(dim=1, keepdim=True)
            for vectors in (queries, objective.bank)
        )
        scores = q @ p.T / objective.temperature
        for place, row in batch.blocked.tolist():
            scores[place, row] = -math.inf
        expected.append(-scores.log_softmax(1)[torch.arange(len(q)), batch.gold].mean())
    assert found.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
