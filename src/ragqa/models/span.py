"""Span model: a start and an end score for every token (Devlin et al. 2019, section 4.2)."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForQuestionAnswering

from ragqa import checkpoints, plugins, pretrained
from ragqa.errors import ModelError
from ragqa.models import attention
from ragqa.protocols import Tuning


class SpanModel(nn.Module):
    """An encoder and one linear layer.

    ``forward`` takes ids, attention mask and token types, each (N, L), and returns start and end logits,
    each (N, L). The logit at position 0 ([CLS]) scores "no answer in this window".
    """

    def __init__(self, encoder: nn.Module, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(hidden, 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def from_backbone(cls, folder: Path, dropout: float) -> "SpanModel":
        """The pretrained encoder in ``folder`` with a fresh head."""
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.hidden_dropout_prob = dropout
        # Dropout on attention weights costs 15 % of a step on CPUs and changed nothing measurable.
        config.attention_probs_dropout_prob = 0.0
        encoder = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            add_pooling_layer=False,
            attn_implementation=attention.register(),
        )
        return cls(encoder, int(config.hidden_size))

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        start, end = self.head(hidden).float().unbind(-1)
        return start, end


def freeze(model: nn.Module, prefixes: tuple[str, ...]) -> None:
    """Stop training every parameter whose name starts with one of ``prefixes``."""
    for name, parameter in model.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad_(False)


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that training may change, by name."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def load_span(folder: Path) -> SpanModel:
    """The reader in ``folder``, float32, for evaluation: ours (a backbone with the trained tensors laid over it)
    or a question-answering model as transformers saves it.

    Raises:
        ModelError: the folder names no backbone that is present.
    """
    if pretrained.is_huggingface(folder):
        return _from_huggingface(folder).eval()
    model, tuning = load_tuned(folder)
    tuning.merge(model)
    return model.eval()


def load_tuned(folder: Path) -> tuple[SpanModel, Tuning]:
    """One of our readers with what its tuning added still standing beside the weights."""
    model = SpanModel.from_backbone(pretrained.backbone_of(folder), dropout=0.0)
    base = pretrained.base_of(folder)
    if base is not None:
        overlay(model, checkpoints.load(base), base)
    tuning: Tuning = plugins.build("tuning", pretrained.reader_config(folder).get("tuning", {"name": "full"}))
    tuning.apply(model)
    overlay(model, checkpoints.load(folder), folder)
    return model, tuning


def overlay(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Lay the trained ``tensors``, read from ``folder``, over the backbone that ``model`` has.

    Raises:
        ModelError: the backbone has no such tensor.
    """
    unexpected = model.load_state_dict(tensors, strict=False).unexpected_keys
    if unexpected:
        raise ModelError(f"{folder} holds tensors that its backbone does not have: {unexpected[0]}")


def _from_huggingface(folder: Path) -> SpanModel:
    whole = AutoModelForQuestionAnswering.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    model = SpanModel(whole.base_model, int(whole.config.hidden_size))
    model.head = whole.qa_outputs
    return model
