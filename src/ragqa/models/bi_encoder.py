"""Bi-encoder: a text → one vector, queries and passages alike (Reimers and Gurevych 2019, arXiv:1908.10084)."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ragqa import pretrained
from ragqa.layout import read_layout
from ragqa.models import attention
from ragqa.models.loading import apply_stored, load_transformer, takes_segments
from ragqa.protocols import ENCODES, Tuning


class BiEncoder(nn.Module):
    """A transformer, pooled over its real tokens and normalised.

    ``forward`` takes ids, attention mask and token types, each (N, L), and returns unit vectors, (N, D), in a tuple
    of one, as every network of the runtimes does.
    """

    peft_task = ENCODES

    def __init__(self, encoder: Any, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.segmented = takes_segments(encoder)

    @classmethod
    def from_folder(cls, folder: Path, *, training: bool = False, dropout: float = 0.0) -> "BiEncoder":
        """The encoder of a Hugging Face or sentence-transformers folder, pooled as the folder says.

        Args:
            training: with the attention that trains fast, instead of the one that OpenVINO fuses.
        """
        layout = read_layout(folder)
        # OpenVINO fuses plain attention itself into the same operation that a traced sdpa becomes.
        kind = attention.register() if training else "eager"
        return cls(load_transformer(layout.transformer, attention=kind, dropout=dropout), layout.pooling)

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor]:
        segments = {"token_type_ids": kinds} if self.segmented else {}
        hidden = self.encoder(input_ids=ids, attention_mask=mask, **segments).last_hidden_state.float()
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return (nn.functional.normalize(pooled, p=2.0, dim=1),)


def load_tuned(folder: Path) -> tuple[BiEncoder, Tuning]:
    """An encoder that ``ragqa finetune retriever`` stored as what it added to its backbone."""
    model = BiEncoder.from_folder(pretrained.backbone_of(folder))
    return model, apply_stored(model, folder)


def load_encoder(folder: Path) -> BiEncoder:
    """The encoder in ``folder``, whole or stored as what was added to a backbone, ready to serve."""
    if pretrained.is_huggingface(folder):
        return BiEncoder.from_folder(folder).eval()
    model, tuning = load_tuned(folder)
    tuning.merge(model)
    return model.eval()
