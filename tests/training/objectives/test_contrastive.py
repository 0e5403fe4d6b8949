"""The contrastive loss against a plain sum, and a batch in pieces against the whole batch."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ragqa.models.bi_encoder import BiEncoder
from ragqa.training.objectives import contrastive
from ragqa.training.objectives.contrastive import NEIGHBOURS, ContrastiveObjective, contrastive_loss
from ragqa.types import Example, Passage, Query
from ragqa.windows import load_tokenizer


def unit(rows: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


@given(
    st.integers(1, 5),
    st.integers(2, 6),
    st.integers(0, 99),
    st.sampled_from([0.02, 0.1, 1.0]),
    st.sampled_from([0.0, 0.2]),
)
def test_the_loss_is_the_mean_log_share_of_the_right_passage(
    queries: int, passages: int, seed: int, temperature: float, smoothing: float
) -> None:
    q, p = unit(queries, seed), unit(passages, seed + 1)
    gold = torch.arange(queries) % passages
    blocked = [(0, (int(gold[0]) + 1) % passages)] if passages > 2 else []
    pairs = [*enumerate(gold.tolist()), *blocked]
    shares = torch.tensor([1.0] * queries + [0.0] * len(blocked))
    found = contrastive_loss(q, p, torch.tensor(pairs), shares, temperature, smoothing)
    total = 0.0
    for i in range(queries):
        odds = [math.exp(float(q[i] @ p[j]) / temperature) for j in range(passages) if (i, j) not in blocked]
        total -= (1 - smoothing) * math.log(math.exp(float(q[i] @ p[gold[i]]) / temperature) / sum(odds))
        total -= smoothing * sum(math.log(one / sum(odds)) for one in odds) / len(odds)
    assert float(found) == pytest.approx(total / queries, rel=1e-4, abs=1e-5)


@given(st.integers(0, 99), st.floats(0.01, 0.99))
def test_a_shared_target_is_the_mean_of_the_losses_towards_each(seed: int, share: float) -> None:
    q, p = unit(1, seed), unit(4, seed + 1)
    both = contrastive_loss(q, p, torch.tensor([(0, 1), (0, 3)]), torch.tensor([share, 1 - share]), 0.1)
    towards = [
        float(contrastive_loss(q, p, torch.tensor([(0, row)]), torch.tensor([1.0]), 0.1)) for row in (1, 3)
    ]
    assert float(both) == pytest.approx(share * towards[0] + (1 - share) * towards[1], rel=1e-4, abs=1e-5)


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


def test_a_passage_named_twice_is_one_target(tiny_bert: Path) -> None:
    """With share 0 it would count neither way, and the loss would have no lower bound."""
    objective, _ = objective_of(tiny_bert, both_sides=False)
    (walrus,) = examples()[0].positives
    asked = Example(Query("who?", id="8"), positives=(walrus, walrus))
    objective.prepare([asked])
    group = objective.group(asked, np.random.default_rng(0))
    assert group is not None
    assert group.right == (((0, 1.0),),)


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
    objective, groups = objective_of(tiny_bert, both_sides=False)
    assert [len(g.questions) for g in groups] == [2, 1, 1]
    batch = objective.collate(groups)
    assert not batch.passages
    gold = dict(batch.right[batch.shares == 1].tolist())
    assert sorted(gold.values()) == [0, 0, 2, 3]  # rows in order of appearance; the otter is row 1
    ((place, row),) = batch.right[batch.shares == 0].tolist()
    assert row == 1
    assert gold[place] == 0


def test_both_sides_compete_within_the_batch_with_neighbours_that_are_not_right(tiny_bert: Path) -> None:
    objective, groups = objective_of(tiny_bert, both_sides=True, hard_negatives=1)
    walrus = groups[0]
    own, negative = walrus.passages
    assert own == walrus.row
    assert negative in {2, 3}  # the otter, row 1, answers one of its questions
    batch = objective.collate([walrus])
    assert sum(len(ids) for ids, *_ in batch.passages) == 2
    order = sorted(walrus.passages, key=lambda row: (len(walrus.passages[row]), row))
    assert batch.right.tolist() == [[0, order.index(0)], [1, order.index(0)]]
    assert batch.shares.tolist() == [1, 1]  # the otter is not in this batch
    drawn = {
        row
        for seed in range(20)
        if (group := objective.group(walrus.examples[0], np.random.default_rng(seed))) is not None
        for row in group.passages
    }
    assert drawn == {0, 2, 3}


@pytest.mark.parametrize("both_sides", [False, True])
def test_questions_of_equal_ids_are_one_group_all_the_same(tiny_bert: Path, both_sides: bool) -> None:
    objective, _ = objective_of(tiny_bert, both_sides=both_sides)
    (walrus,), (heron,) = (examples()[n].positives for n in (0, 2))
    asked = [Example(Query(text, id="line"), positives=(walrus,)) for text in ("live?", "often?", "live?")]
    asked += [Example(Query("heron?", id="line"), positives=(heron,))]
    objective.prepare(asked)
    for _ in range(2):  # two epochs
        groups = [objective.group(e, np.random.default_rng(0)) for e in asked]
        assert [g and len(g.questions) for g in groups] == [3, None, None, 1]
    objective.prepare(asked[1:])
    groups = [objective.group(e, np.random.default_rng(0)) for e in asked[1:]]
    assert [g and len(g.questions) for g in groups] == [2, None, 1]


ROW = 3 * NEIGHBOURS


def in_a_row(said: dict[int, str]) -> list[Passage]:
    """Passages of which each is farther from the first than the one before it; ``said`` are the words of some."""
    return [Passage("d", n, n + 1, said.get(n, "a toad")) for n in range(ROW)]


def brought(
    bert: Path, passages: list[Passage], asked: list[Example], count: int, seeds: int = 1
) -> list[set[int]]:
    """The rows that the group of ``asked`` brings along beside its own, the first, once for each seed."""
    angles = np.linspace(0, 1, len(passages))
    objective = ContrastiveObjective(
        Tokenizer.from_file(str(bert / "tokenizer.json")),
        passages,
        np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32),
        both_sides=True,
        temperature=0.1,
        hard_negatives=count,
    )
    objective.prepare(asked)
    drawn = (objective.group(asked[0], np.random.default_rng(seed)) for seed in range(seeds))
    return [{*group.passages} - {0} for group in drawn if group is not None]


def test_neighbours_that_hold_an_answer_to_a_question_of_the_group_are_left_out(tiny_bert: Path) -> None:
    passages = in_a_row({0: "toad, island", 2: "An Island!", 3: "islands", 5: "so it was seen twice"})
    asked = [
        Example(Query("where?"), ("island",), positives=(passages[0],)),
        Example(Query("how often?"), ("three times", "seen twice"), positives=(passages[0],)),
    ]
    (rows,) = brought(tiny_bert, passages, asked, ROW)
    assert rows == {*range(1, NEIGHBOURS + 3)} - {2, 5}  # islands are no island


def test_of_neighbours_the_nearest_alone_are_looked_at(tiny_bert: Path) -> None:
    passages = in_a_row(dict.fromkeys(range(2 * NEIGHBOURS), "the island"))
    asked = [Example(Query("where?"), ("island",), positives=(passages[0],))]
    assert brought(tiny_bert, passages, asked, ROW) == [{2 * NEIGHBOURS}]


def test_negatives_that_an_example_names_come_before_neighbours(tiny_bert: Path) -> None:
    passages = in_a_row({})
    strange = Passage("elsewhere", 0, 1, "a lynx")
    asked = [
        Example(Query("where?"), positives=(passages[0],), hard_negatives=(strange, passages[-1])),
        Example(Query("when?"), positives=(passages[0],), hard_negatives=(passages[-1], passages[-2])),
    ]
    named = {ROW - 1, ROW - 2}
    ones = brought(tiny_bert, passages, asked, 1, seeds=20)
    assert set.union(*ones) == named
    for rows in brought(tiny_bert, passages, asked, 5, seeds=20):
        assert len(rows) == 5
        assert named < rows <= named | {*range(1, NEIGHBOURS + 1)}


def test_a_named_negative_is_none_where_it_answers_another_question_of_the_group(tiny_bert: Path) -> None:
    passages = in_a_row({40: "the island, the meadow", 41: "the meadow", 42: "the island"})
    asked = [
        Example(
            Query("where?"), ("island",), positives=(passages[0],), hard_negatives=tuple(passages[40:43])
        ),
        Example(Query("where else?"), ("meadow",), positives=(passages[0],), hard_negatives=(passages[40],)),
        Example(Query("and?"), positives=(passages[0], passages[43]), hard_negatives=()),
        Example(Query("who?"), positives=(passages[0],), hard_negatives=(passages[43],)),
    ]
    (rows,) = brought(tiny_bert, passages, asked, ROW)
    assert rows & {40, 41, 42, 43} == {40, 42}


def test_shares_of_passages_that_are_not_known_go_to_the_others(tiny_bert: Path) -> None:
    objective, _ = objective_of(tiny_bert, both_sides=False)
    known = [p for e in examples() for p in e.positives]
    strange = Passage("elsewhere", 0, 1, "a lynx")
    asked = Example(Query("who?", id="9"), positives=(known[0], strange, known[3]), shares=(0.5, 0.3, 0.2))
    objective.prepare([asked])
    group = objective.group(asked, np.random.default_rng(0))
    assert group is not None
    batch = objective.collate([group])
    assert batch.right.tolist() == [[0, 0], [0, 2]]
    assert batch.shares.tolist() == pytest.approx([0.5 / 0.7, 0.2 / 0.7])


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(
    tiny_bert: Path, both_sides: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for rows in (32, 1):
        monkeypatch.setattr(contrastive, "CHUNK_ROWS", dict.fromkeys(contrastive.CHUNK_ROWS, rows))
        model = BiEncoder.from_folder(tiny_bert, training=True)
        objective, groups = objective_of(tiny_bert, both_sides=both_sides)
        objective.loss(model, objective.collate(groups)).backward()  # type: ignore[no-untyped-call]
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    whole, pieces = gradients
    assert whole.keys() == pieces.keys()
    for name, gradient in whole.items():
        assert torch.allclose(gradient, pieces[name], atol=1e-5), name


def test_both_sides_learn_from_fresh_vectors_alone(tiny_bert: Path) -> None:
    """Vectors from before training would reward a model for moving everything away from them."""
    model = BiEncoder.from_folder(tiny_bert)
    losses = []
    for factor in (1, -1):
        objective, groups = objective_of(tiny_bert, both_sides=True, hard_negatives=0)
        objective.vectors *= factor
        losses.append(objective.loss(model, objective.collate(groups)).item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_loss_over_sizes_is_the_mean_of_those_of_shortened_vectors(
    tiny_bert: Path, both_sides: bool
) -> None:
    model = BiEncoder.from_folder(tiny_bert)
    objective, groups = objective_of(tiny_bert, both_sides=both_sides, sizes=(4, 16))
    batch = objective.collate(groups)
    found = objective.loss(model, batch)
    queries = contrastive.encode(model, batch.questions)
    passages = contrastive.encode(model, batch.passages) if both_sides else objective.vectors
    expected = []
    for size in (4, 16, 32):
        q, p = (
            vectors[:, :size] / vectors[:, :size].norm(dim=1, keepdim=True) for vectors in (queries, passages)
        )
        scores = q @ p.T / objective.temperature
        for place, row in batch.right[batch.shares == 0].tolist():
            scores[place, row] = -math.inf
        asked, gold = batch.right[batch.shares == 1].T
        expected.append(-scores.log_softmax(1)[asked, gold].mean())
    assert found.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
