"""The last layer for [CLS] alone gives what the whole layer gives there, in values and in gradients."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from ragqa.models.attention import register
from ragqa.models.last_layer import narrowed

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
FAMILIES: dict[str, Any] = {
    "bert": lambda **more: BertModel(BertConfig(**SIZES, **more)),
    "electra": lambda **more: ElectraModel(ElectraConfig(**SIZES, **more)),
    "roberta": lambda **more: RobertaModel(RobertaConfig(**SIZES, **more)),
    "xlm-roberta": lambda **more: XLMRobertaModel(XLMRobertaConfig(**SIZES, **more)),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa", register()])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lengths", [(6, 6), (6, 3)])
def test_the_first_token_is_computed_alone(family: str, attention: str, lengths: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network = FAMILIES[family](attn_implementation=attention).eval()
    ids = torch.randint(5, 40, (2, 6))
    mask = (torch.arange(6) < torch.tensor(lengths)[:, None]).long()
    whole = network(input_ids=ids, attention_mask=mask).last_hidden_state[:, :1]
    names = list(network.state_dict())
    assert narrowed(network) == {"first_only": True}
    assert list(network.state_dict()) == names
    alone = network(input_ids=ids, attention_mask=mask, first_only=True).last_hidden_state
    assert alone.shape == (2, 1, 16)
    torch.testing.assert_close(alone, whole)
    weight = next(network.parameters())
    expected, found = (torch.autograd.grad(states.square().sum(), weight)[0] for states in (whole, alone))
    torch.testing.assert_close(found, expected)


def test_asked_twice_and_not_told_it_stays_the_whole_layer() -> None:
    network = FAMILIES["bert"]().eval()
    ids = torch.tensor([[5, 6, 7]])
    expected = network(input_ids=ids).last_hidden_state
    assert narrowed(network) == {"first_only": True}
    assert narrowed(network) == {"first_only": True}
    torch.testing.assert_close(network(input_ids=ids).last_hidden_state, expected)


def test_layers_of_another_kind_are_left_alone() -> None:
    network = DistilBertModel(DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=24))
    kinds = [type(module) for module in network.modules()]
    assert narrowed(network) == {}
    assert [type(module) for module in network.modules()] == kinds
