"""A question-answering model saved by transformers takes the place of the shipped reader."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertForQuestionAnswering

from ragqa.quoting import LEXICAL_NOTE
from ragqa.readers.extractive import ExtractiveReader
from ragqa.types import Hit, Passage, Query

TEXT = "长江全长约六千三百公里。它是亚洲最长的河流。"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT whose vocabulary is single Han characters, with random weights."""
    target = tmp_path_factory.mktemp("chinese-reader")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(TEXT + "多长河流标题"))]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(target / "tokenizer.json"))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
    )
    BertForQuestionAnswering(config).save_pretrained(target)
    return target


def test_a_chinese_question_is_read_by_the_model_and_not_lexically(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path))
    reader = ExtractiveReader(model=str(folder), precision="f32", threshold=0.0)
    hit = Hit(Passage("doc", 7, 7 + len(TEXT), TEXT, "河流"), 1.0)
    answer = reader.read([Query("长江多长")], [[hit]])[0]
    citation = answer.citations[0]
    assert TEXT[citation.start - 7 : citation.end - 7] == citation.quote == answer.text
    assert answer.note != LEXICAL_NOTE
    assert "null_margin" in answer.details


def test_its_scores_are_those_of_the_model_in_transformers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path))
    reader = ExtractiveReader(model=str(folder), precision="f32", threshold=0.0)
    hit = Hit(Passage("doc", 0, len(TEXT), TEXT, "河流"), 1.0)
    (reading,) = reader.network.readings([Query("长江多长")], [[hit]])
    assert reading is not None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    parts = [tokenizer.encode(t, add_special_tokens=False).ids for t in ("长江多长", "河流", TEXT)]
    ids = [2, *parts[0], 3, *parts[1], 3, *parts[2], 3]
    kinds = [0] * (len(parts[0]) + 2) + [1] * (len(ids) - len(parts[0]) - 2)
    model = BertForQuestionAnswering.from_pretrained(folder).eval()
    with torch.no_grad():
        out = model(torch.tensor([ids]), token_type_ids=torch.tensor([kinds]))
    at = len(parts[0]) + len(parts[1]) + 3
    allowed = [0, *range(at, at + len(parts[2]))]
    start = out.start_logits[0][allowed].log_softmax(0)
    end = out.end_logits[0][allowed].log_softmax(0)
    assert reading.null == pytest.approx(float(start[0] + end[0]), abs=1e-3)
    best = max(
        float(start[i] + end[j]) for i in range(1, len(allowed)) for j in range(i, min(i + 30, len(allowed)))
    )
    assert reading.spans[0].log_probability == pytest.approx(best, abs=1e-3)
