"""Plain attention against torch's own, in values and in gradients."""

import pytest
import torch

from ragqa.models.attention import plain_attention


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
