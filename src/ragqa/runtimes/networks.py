"""The torch modules behind each kind of model; for the converting child and the torch runtime only.

Each takes ids, mask and token types, (N, L), and returns a tuple of tensors.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from ragqa.backbone import builtin_path, verify
from ragqa.errors import ModelError
from ragqa.pretrained import backbone_of
from ragqa.runtimes.layout import Layout, read_layout


class EncoderNetwork(nn.Module):
    """A transformer, pooled over its real tokens and normalised: (N, L) → (N, D)."""

    def __init__(self, transformer: nn.Module, pooling: str) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        # BERT tells two segments apart, RoBERTa and DistilBERT do not and take no such argument.
        self.segmented = "token_type_ids" in inspect.signature(transformer.forward).parameters

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor]:
        segments = {"token_type_ids": kinds} if self.segmented else {}
        hidden = self.transformer(input_ids=ids, attention_mask=mask, **segments).last_hidden_state.float()
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return (nn.functional.normalize(pooled, p=2.0, dim=1),)


def build_encoder(folder: Path) -> nn.Module:
    """The encoder of a Hugging Face or sentence-transformers folder, pooled as the folder says."""
    layout = read_layout(folder)
    return EncoderNetwork(_transformer(layout.transformer), layout.pooling)


def build_span(folder: Path) -> nn.Module:
    """The span reader whose trained tensors lie in ``folder``."""
    from ragqa.models.span import load_span

    if backbone_of(folder) == builtin_path():
        verify()
    return load_span(folder)


BUILDERS: dict[str, Callable[[Path], nn.Module]] = {"encoder": build_encoder, "span": build_span}


def build(kind: str, source: Path) -> nn.Module:
    """The network of ``kind`` from ``source``, in float32, ready to infer."""
    if kind not in BUILDERS:
        raise ModelError(f"there is no model kind {kind!r}", accepted=", ".join(BUILDERS))
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return BUILDERS[kind](source).float().eval()


def layout_of(kind: str, source: Path) -> Layout:
    """Tokenizer and longest input of a model; a span reader has those of its backbone."""
    return read_layout(source if kind == "encoder" else backbone_of(source))


def _transformer(folder: Path) -> Any:
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no safetensors weights",
            next_step="save the model again with save_pretrained(FOLDER)",
        )
    try:
        return AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            # OpenVINO fuses plain attention itself into the same operation that a traced sdpa becomes.
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}") from error
