"""Masked-language model: an encoder that guesses hidden words of a text (Devlin et al. 2019, section 3.1)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragqa.layout import read_layout
from ragqa.models import attention
from ragqa.models.loading import load_transformer, takes_segments
from ragqa.protocols import ENCODES


class MaskedHead(nn.Module):
    """Hidden states → scores of words; the matrix is that of the word embeddings."""

    def __init__(self, hidden: int, words: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(M, D) and the word embeddings (V, D) → (M, V)."""
        scores: Tensor = self.norm(nn.functional.gelu(self.dense(hidden))) @ table.T + self.bias
        return scores


class MaskedModel(nn.Module):
    """``forward`` takes ids, attention mask and token types, each (N, L), and the hidden places, (N, L) booleans.

    It returns scores over the vocabulary for each hidden place in reading order, (M, V).
    """

    peft_task = ENCODES

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.segmented = takes_segments(encoder)
        self.head = MaskedHead(hidden, len(encoder.get_input_embeddings().weight))

    @classmethod
    def from_folder(cls, folder: Path, dropout: float) -> "MaskedModel":
        """The encoder of a Hugging Face or sentence-transformers folder with a fresh head."""
        transformer = load_transformer(
            read_layout(folder).transformer, attention=attention.register(), dropout=dropout
        )
        return cls(transformer, int(transformer.config.hidden_size))

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor, hidden: Tensor) -> Tensor:
        segments = {"token_type_ids": kinds} if self.segmented else {}
        states = self.encoder(input_ids=ids, attention_mask=mask, **segments).last_hidden_state
        table: Tensor = self.encoder.get_input_embeddings().weight
        scores: Tensor = self.head(states[hidden], table)
        return scores.float()
