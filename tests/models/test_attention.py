"""Plain attention against torch's own, in values and in gradients."""

import pytest
import torch
from transformers import BertConfig, BertModel

from ragqa.models.attention import plain_attention, register


def judged(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None,
) -> torch.Tensor:
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query, key, value, attn_mask=mask, scale=scale).transpose(1, 2)


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("kind", ["none", "boolean", "additive"])
def test_values_and_gradients_are_those_of_torch(kind: str, scale: float | None) -> None:
    torch.manual_seed(0)
    n, heads, length, size = 3, 2, 7, 4
    query, key, value = (torch.randn(n, heads, length, size, requires_grad=True) for _ in range(3))
    keep = torch.rand(n, 1, 1, length) < 0.6
    keep[..., 0] = True
    masks = {
        "none": None,
        "boolean": keep,
        "additive": torch.zeros(keep.shape).masked_fill(~keep, torch.finfo(torch.float32).min),
    }
    mask = masks[kind]
    ours, weights = plain_attention(torch.nn.Identity(), query, key, value, mask, scaling=scale)
    judge = judged(query, key, value, mask, scale)
    torch.testing.assert_close(ours, judge)
    assert ours.shape == (n, length, heads, size)
    torch.testing.assert_close(weights.sum(-1), torch.ones(n * heads, length))
    if mask is not None:
        assert weights.view(n, heads, length, length)[~keep.expand(n, heads, length, length)].max() < 1e-6
    towards, inputs = torch.randn(ours.shape), (query, key, value)
    mine = torch.autograd.grad((ours * towards).sum(), inputs)
    theirs = torch.autograd.grad((judge * towards).sum(), inputs)
    for left, right in zip(mine, theirs, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing_and_the_whole_model_equals_transformers_own() -> None:
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = BertConfig(vocab_size=50, max_position_embeddings=40, **sizes)
    judge = BertModel._from_config(config, attn_implementation="eager").eval()
    ours = BertModel._from_config(config, attn_implementation=register()).eval()
    ours.load_state_dict(judge.state_dict())
    ids = torch.randint(1, 50, (3, 20))
    mask = torch.arange(20) < torch.tensor([[20], [12], [5]])
    with torch.inference_mode():
        padded = ours(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        expected = judge(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        alone = ours(input_ids=ids[2:, :5], attention_mask=mask[2:, :5].long()).last_hidden_state
    assert torch.allclose(padded[mask], expected[mask], atol=1e-5)
    assert torch.allclose(padded[2, :5], alone[0], atol=1e-5)


def test_dropout_falls_on_the_weights_in_training_alone() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, 5, 4) for _ in range(3))
    module = torch.nn.Identity()
    whole, _ = plain_attention(module.eval(), query, key, value, None, dropout=0.5)
    torch.testing.assert_close(whole, judged(query, key, value, None, None))
    some, weights = plain_attention(module.train(), query, key, value, None, dropout=0.5)
    assert (weights == 0).float().mean() == pytest.approx(0.5, abs=0.15)
    mixed = torch.bmm(weights, value.reshape(4, 5, 4)).view(2, 2, 5, 4).transpose(1, 2)
    torch.testing.assert_close(some, mixed)
