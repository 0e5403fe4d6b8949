"""Plain attention for training on CPUs: softmax(QKᵀ/√d + mask) V as batched matrix products.

torch's fused CPU kernel spends 47 % of a training step on heads of 32 dimensions, and the eager one of
transformers adds the scale and the mask in two extra passes over (N, heads, L, L). Measured on two Zen 5 cores,
bfloat16, 32 windows of 170 tokens: fused 24 windows/s, eager 38, this 41.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "ragqa_plain"


def plain_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """query (N, H, Q, D), key, value (N, H, L, D), a mask that broadcasts to (N, 1, Q, L) → (N, Q, H, D), weights."""
    n, heads, asked, size = query.shape
    length = key.shape[2]
    query = (query * (scaling or size**-0.5)).reshape(n * heads, asked, size)
    keys = key.reshape(n * heads, length, size).transpose(1, 2)
    if attention_mask is None:
        scores = torch.bmm(query, keys)
    else:
        bias = _additive(attention_mask, query.dtype).expand(n, heads, asked, length)
        scores = torch.baddbmm(bias.reshape(n * heads, asked, length), query, keys)
    weights = torch.softmax(scores, -1)
    if dropout:
        weights = torch.dropout(weights, dropout, module.training)
    mixed = torch.bmm(weights, value.reshape(n * heads, length, size)).view(n, heads, asked, size)
    return mixed.transpose(1, 2).contiguous(), weights


def _attention(
    module: torch.nn.Module, query: Tensor, *others: Any, **named: Any
) -> tuple[Tensor, Tensor | None]:
    """Plain on CPUs; on GPUs torch's own, whose kernels are the fast ones there."""
    if query.is_cuda:
        mixed, _ = sdpa_attention_forward(module, query, *others, **named)
        return mixed, None
    return plain_attention(module, query, *others, **named)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -1e9)
    return mask.to(dtype)


def register() -> str:
    """Make the function known to transformers and return its name.

    The mask has a registry of its own: a name that is missing there gets none, without a word, and padding is read as
    if it were text.
    """
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
