"""Span model: a start and an end score for every token (Devlin et al. 2019, section 4.2)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering

from ragqa import checkpoints, pretrained
from ragqa.models import attention
from ragqa.models.loading import apply_stored, load_transformer, overlay
from ragqa.protocols import Tuning


class SpanModel(nn.Module):
    """An encoder and one linear layer.

    ``forward`` takes ids, attention mask and token types, each (N, L), and returns start and end logits,
    each (N, L). The logit at position 0 ([CLS]) scores "no answer in this window".
    """

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(hidden, 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def from_backbone(cls, folder: Path, dropout: float) -> "SpanModel":
        """The pretrained encoder in ``folder`` with a fresh head."""
        encoder = load_transformer(folder, attention=attention.register(), dropout=dropout)
        return cls(encoder, int(encoder.config.hidden_size))

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        start, end = self.head(hidden).float().unbind(-1)
        return start, end


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
    return model, apply_stored(model, folder)


def _from_huggingface(folder: Path) -> SpanModel:
    whole = AutoModelForQuestionAnswering.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    model = SpanModel(whole.base_model, int(whole.config.hidden_size))
    model.head = whole.qa_outputs
    return model
