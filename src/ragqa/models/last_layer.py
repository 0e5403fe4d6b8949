"""The last layer of an encoder of BERT's kind for the first token alone, where a head reads nothing but [CLS].

That token still needs the keys and values of all tokens, but one query and one feed-forward step instead of L: of the
linear work of six layers 14 % is left out, in serving and in training, and the result is the same.
"""

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.models.bert.modeling_bert import BertLayer, eager_attention_forward
from transformers.models.electra.modeling_electra import ElectraLayer
from transformers.models.roberta.modeling_roberta import RobertaLayer
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

_KINDS = (BertLayer, ElectraLayer, RobertaLayer, XLMRobertaLayer)


def narrowed(network: nn.Module) -> dict[str, bool]:
    """Prepare the last layer of ``network``, and return what its ``forward`` must be told besides.

    Its hidden states are then (N, 1, D). Nothing, and nothing changed, where the layers are not of a kind that this
    module knows.
    """
    layers = [module for module in network.modules() if isinstance(module, _KINDS)]
    if not layers:
        return {}
    # Another class, not another module: the names of the weights stay, and what a tuning put inside stands there too.
    kind = type(layers[-1])
    if not issubclass(kind, _FirstOnly):
        layers[-1].__class__ = type(f"FirstOnly{kind.__name__}", (_FirstOnly, kind), {})
    return {"first_only": True}


class _FirstOnly(nn.Module):
    """What stands before the class of a layer of transformers."""

    attention: Any
    feed_forward_chunk: Any

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *others: Any,
        first_only: bool = False,
        **named: Any,
    ) -> Tensor:
        if not first_only:
            whole: Tensor = super().forward(hidden_states, attention_mask, *others, **named)
            return whole
        inner = self.attention.self
        first = hidden_states[:, :1]
        query, key, value = (
            linear(states).unflatten(-1, (-1, inner.attention_head_size)).transpose(1, 2)
            for linear, states in (
                (inner.query, first),
                (inner.key, hidden_states),
                (inner.value, hidden_states),
            )
        )
        attend = AttentionInterface().get_interface(
            inner.config._attn_implementation, eager_attention_forward
        )
        mixed, _ = attend(
            inner,
            query,
            key,
            value,
            None if attention_mask is None else attention_mask[:, :, :1],
            dropout=inner.dropout.p if self.training else 0.0,
            scaling=inner.scaling,
        )
        found: Tensor = self.feed_forward_chunk(self.attention.output(mixed.flatten(2), first))
        return found
