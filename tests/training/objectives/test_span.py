"""The shared-normalisation loss against its definition, and the groups it is computed over."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.backbone import builtin_path
from ragqa.training.objectives.span import SpanObjective, shared_norm_loss
from ragqa.types import Example, Passage, Query, Span
from ragqa.windows import load_tokenizer

TEXT = "The walrus lives in the harbour. " * 40 + "Its tusk weighs five pounds."
GOLD = Passage("d", 0, len(TEXT), TEXT, "Walrus notes")
NEGATIVE = Passage("e", 0, 21, "Herons stand in reeds.", "Herons")
AT = TEXT.index("five pounds")
EXAMPLE = Example(Query("How heavy?"), ("five pounds",), (GOLD,), (Span(AT, AT + 11),), (NEGATIVE,))


def naive_loss(
    scores: torch.Tensor, answerable: torch.Tensor, gold: torch.Tensor, group: list[int], smoothing: float
) -> torch.Tensor:
    losses = []
    for number in range(max(group) + 1):
        rows = [r for r, owner in enumerate(group) if owner == number]
        everything = torch.cat([scores[r][answerable[r]] for r in rows])
        right = torch.cat([scores[r][gold[r]] for r in rows])
        found = -(torch.exp(right).sum() / torch.exp(everything).sum()).log()
        spread = -torch.log_softmax(everything, 0).mean()
        losses.append((1 - smoothing) * found + smoothing * spread)
    return torch.stack(losses).mean()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 10_000), st.sampled_from([0.0, 0.2])
)
def test_the_loss_and_its_gradient_are_the_definition(sizes: list[int], seed: int, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    group = [number for number, size in enumerate(sizes) for _ in range(size)]
    scores = torch.randn(len(group), 7, generator=generator).mul(3).requires_grad_()
    answerable = torch.rand(len(group), 7, generator=generator) < 0.7
    answerable[:, 0] = True
    gold = answerable & (torch.rand(len(group), 7, generator=generator) < 0.2)
    for number in range(len(sizes)):
        gold[group.index(number), 0] = True
    ours = shared_norm_loss(scores, answerable, gold, torch.tensor(group), smoothing)
    judge = naive_loss(scores, answerable, gold, group, smoothing)
    torch.testing.assert_close(ours, judge, atol=1e-5, rtol=1e-5)
    (mine,), (theirs,) = torch.autograd.grad(ours, scores), torch.autograd.grad(judge, scores)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_large_scores_do_not_overflow() -> None:
    scores = torch.tensor([[1e4, -1e4, 0.0], [1e4, 0.0, 5.0]])
    gold = torch.tensor([[False, True, False], [False, False, True]])
    loss = shared_norm_loss(scores, torch.ones_like(gold), gold, torch.tensor([0, 1]))
    torch.testing.assert_close(loss, torch.tensor((2e4 + (1e4 - 5)) / 2))


def objective(hard_negative_share: float, unanswerable_share: float) -> SpanObjective:
    made = SpanObjective(
        load_tokenizer(builtin_path()),
        max_window_tokens=120,
        overlap_tokens=30,
        hard_negative_share=hard_negative_share,
        unanswerable_share=unanswerable_share,
    )
    made.prepare([EXAMPLE])
    return made


def test_gold_positions_are_the_tokens_of_the_answer() -> None:
    made = objective(0, 0)
    group = made.group(EXAMPLE, np.random.default_rng(0))
    assert group is not None
    assert group.gold
    for window, start, end in group.gold:
        ids = group.windows[window].ids[start : end + 1].tolist()
        assert made.tokenizer.decode(ids) == "five pounds"
    batch = made.collate([group, group])
    assert batch.group.tolist() == [0] * len(group.windows) + [1] * len(group.windows)
    for mask, place in ((batch.gold_start, 1), (batch.gold_end, 2)):
        places = [(w, gold[place]) for gold in group.gold for w in [gold[0]]]
        shifted = [(w + len(group.windows), p) for w, p in places]
        assert sorted(map(tuple, mask.nonzero().tolist())) == sorted(places + shifted)
    assert not (batch.gold_start & ~batch.answerable).any()


def test_a_group_without_the_answer_points_at_the_null() -> None:
    made = objective(0, 1)
    group = made.group(EXAMPLE, np.random.default_rng(0))
    assert group is not None
    assert group.gold == ((0, 0, 0),)
    assert "heron" in made.tokenizer.decode(group.windows[0].ids.tolist())
    assert "pounds" not in made.tokenizer.decode(group.windows[0].ids.tolist())


def test_a_negative_joins_the_gold_passage() -> None:
    made = objective(1, 0)
    group = made.group(EXAMPLE, np.random.default_rng(0))
    assert group is not None
    assert "heron" in made.tokenizer.decode(group.windows[-1].ids.tolist())
    assert len(group.windows) - 1 not in {window for window, _, _ in group.gold}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_shares_are_kept(share: float) -> None:
    made = objective(0, share)
    rng = np.random.default_rng(1)
    groups = [made.group(EXAMPLE, rng) for _ in range(400)]
    found = np.mean([g is not None and g.gold == ((0, 0, 0),) for g in groups])
    assert found == pytest.approx(share, abs=0.07)


def test_an_answer_without_tokens_teaches_nothing() -> None:
    text = "one   two"
    blank = Example(Query("?"), (" ",), (Passage("d", 0, 9, text),), (Span(4, 5),))
    made = objective(0, 0)
    made.prepare([blank])
    assert made.group(blank, np.random.default_rng(0)) is None


def test_nothing_outside_the_folder_is_needed(tiny_bert: Path) -> None:
    made = SpanObjective(load_tokenizer(tiny_bert))
    made.prepare([EXAMPLE])
    assert made.group(EXAMPLE, np.random.default_rng(0)) is not None


def test_a_question_whose_answer_nobody_has_worded_is_no_unanswerable_one() -> None:
    """One with options, or with judged documents: the passages that were mined for it may well answer it."""
    objective = SpanObjective(load_tokenizer(builtin_path()), unanswerable_share=1.0)
    optional = Example(Query("How heavy?", choices=("five", "six")), (), (GOLD,), (), (NEGATIVE,), choice=0)
    judged = Example(Query("How heavy?"), (), (GOLD,), (), (NEGATIVE,))
    nothing = Example(Query("How old?"), (), (), (), (NEGATIVE,))
    refused = Example(Query("How old?", choices=("five", "six")), (), (), (), (NEGATIVE,), choice=0)
    alone = Example(Query("How old?", choices=("five", "six")), choice=0)
    asked = [optional, judged, alone, nothing, refused]
    assert [one.answer_known for one in asked] == [False, False, False, True, True]
    objective.prepare(asked)
    rng = np.random.default_rng(0)
    assert [objective.group(one, rng) is None for one in asked] == [True, True, True, False, False]
