"""A passage computed once: the same scores and gradients as row by row under a mask."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

from ragqa.errors import ModelError
from ragqa.models import attention
from ragqa.models.choice import ChoiceModel
from ragqa.models.shared_passage import Places, lay_out
from ragqa.windows import Ints, Window, Windower, pad

CLS, SEP = 2, 3
WINDOWER = Windower(CLS, SEP)
SIZES = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(0, 6), min_size=1, max_size=4)), min_size=1, max_size=3
)


@pytest.fixture(scope="module")
def model() -> ChoiceModel:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        initializer_range=0.6,
        attn_implementation=attention.register(),
    )
    return ChoiceModel(BertModel(config, add_pooling_layer=False), 16, passage_once=True).eval()


def texts(sizes: Sequence[tuple[int, list[int]]], seed: int = 0) -> tuple[list[Ints], list[list[Ints]]]:
    """Pieces of so many tokens between two [SEP], and the segments that read each."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> Ints:
        return rng.integers(4, 50, n)

    pieces = [np.concatenate([[SEP], draw(n), [SEP]]) for n, _ in sizes]
    segments = [[np.concatenate([[CLS], draw(n), [SEP]]) for n in asked] for _, asked in sizes]
    return pieces, segments


def row_by_row(model: ChoiceModel, pieces: Sequence[Ints], segments: Sequence[Sequence[Ints]]) -> Tensor:
    windows = [
        Window(np.concatenate([segment, piece]), 0, 0, 0)
        for piece, asked in zip(pieces, segments, strict=True)
        for segment in asked
    ]
    ids, mask, kinds, _ = pad(windows, WINDOWER)
    found: tuple[Tensor] = model(*map(torch.from_numpy, (ids, mask, kinds)))
    return found[0]


@given(sizes=SIZES, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_the_rows(
    model: ChoiceModel, sizes: list[tuple[int, list[int]]], seed: int
) -> None:
    pieces, segments = texts(sizes, seed)
    with torch.inference_mode():
        (together,) = model(lay_out(pieces, segments))
        torch.testing.assert_close(together, row_by_row(model, pieces, segments), atol=2e-5, rtol=1e-4)


def test_gradients_are_those_of_the_rows(model: ChoiceModel) -> None:
    pieces, segments = texts([(7, [3, 1, 5]), (2, [0, 4])])
    weights = torch.arange(1.0, 6.0)
    found = []
    for compute in (lambda: model(lay_out(pieces, segments))[0], lambda: row_by_row(model, pieces, segments)):
        model.zero_grad()
        (compute() * weights).sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=2e-4, rtol=2e-3, msg=name)


def test_an_option_is_scored_by_itself(model: ChoiceModel) -> None:
    pieces, segments = texts([(8, [2, 5, 3]), (4, [1])])
    with torch.inference_mode():
        (among_others,) = model(lay_out(pieces, segments))
        (alone,) = model(lay_out(pieces[:1], [segments[0][1:2]]))
    assert float(among_others[1]) == pytest.approx(float(alone[0]), abs=1e-5)


def test_the_passage_does_not_see_the_question(model: ChoiceModel) -> None:
    """Were it otherwise, one reading could not serve all questions: an ordinary model gives another score."""
    pieces, segments = texts([(8, [4])])
    ordinary = ChoiceModel(model.encoder, 16)
    ordinary.head = model.head
    with torch.inference_mode():
        here, there = row_by_row(model, pieces, segments), row_by_row(ordinary, pieces, segments)
    assert abs(float(here) - float(there)) > 1e-3


def test_in_bfloat16_padding_stays_hidden(model: ChoiceModel) -> None:
    pieces, segments = texts([(9, [6]), (0, [0])])
    narrow = copy.deepcopy(model).bfloat16()
    with torch.inference_mode():
        (wanted,) = model(lay_out(pieces, segments))
        (found,) = narrow(lay_out(pieces, segments))
    torch.testing.assert_close(found, wanted, atol=0.1, rtol=0.1)


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any))
def test_what_is_spread_is_gathered_again(counts: list[int]) -> None:
    places = Places.of(np.array(counts))
    tokens = torch.randn(sum(counts), 2, dtype=torch.float64, requires_grad=True)
    grid = places.spread(tokens)
    assert grid.shape == (len(counts), max(counts), 2)
    assert torch.equal(places.gather(grid), tokens)
    for row, count in enumerate(counts):
        assert not grid[row, count:].any()
    assert torch.autograd.gradcheck(places.spread, tokens)
    assert torch.autograd.gradcheck(places.gather, grid.detach().requires_grad_())


def test_another_kind_of_encoder_is_refused() -> None:
    config = DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=24)
    with pytest.raises(ModelError, match=r"DistilBertModel.*\n?.*BERT's kind"):
        ChoiceModel(DistilBertModel(config), 16, passage_once=True)
