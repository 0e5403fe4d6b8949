"""Encoders that tell segments apart and those that do not carry the same heads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
)

from ragqa.models.pair import PairModel
from ragqa.models.span import SpanModel

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
FAMILIES: dict[str, Any] = {
    "bert": lambda: BertModel(BertConfig(**SIZES, intermediate_size=24)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SIZES, intermediate_size=24, type_vocab_size=1)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=24)
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_segments_are_told_to_those_that_know_them(family: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = FAMILIES[family]().eval()
    network.save_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    mask, kinds = torch.ones_like(ids), torch.tensor([[0, 0, 0, 1, 1, 1]])
    segments = {"token_type_ids": kinds} if family == "bert" else {}
    with torch.inference_mode():
        expected = network(input_ids=ids, attention_mask=mask, **segments).last_hidden_state
        for kind in (SpanModel, PairModel):
            model = kind.from_backbone(tmp_path, dropout=0.0).eval()
            assert torch.allclose(model.hidden(ids, mask, kinds), expected, atol=1e-5)
            assert all(torch.isfinite(scores).all() for scores in model(ids, mask, kinds))
