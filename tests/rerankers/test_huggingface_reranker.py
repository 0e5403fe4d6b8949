"""A cross-encoder saved by transformers reranks as sentence-transformers does with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from ragqa.errors import ModelError
from ragqa.rerankers.cross_encoder import LEG, CrossEncoderReranker
from ragqa.types import Hit, Passage, Query

TEXTS = ("The walrus lives in the harbour.", "A toad was seen. " * 60, "长江全长约六千三百公里。")
QUESTIONS = ("Where does the walrus live?", "长江多长？")


def saved(folder: Path, family: str, labels: int = 1) -> Path:
    """A tiny random cross-encoder with its tokenizer, as transformers saves them."""
    cls_token, sep_token, pad = (
        ("<s>", "</s>", "<pad>") if family == "roberta" else ("[CLS]", "[SEP]", "[PAD]")
    )
    letters = sorted(set("".join((*TEXTS, *QUESTIONS)).lower()) - {" "})
    pieces = [pad, "[UNK]", cls_token, sep_token, *letters, *(f"##{c}" for c in letters)]
    vocabulary = {piece: row for row, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = ((sep_token, vocabulary[sep_token]), (cls_token, vocabulary[cls_token]))
    tokenizer.post_processor = (
        processors.RobertaProcessing if family == "roberta" else processors.BertProcessing
    )(*ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        unk_token="[UNK]",
        cls_token=cls_token,
        sep_token=sep_token,
        model_max_length=128,
        model_input_names=["input_ids", *(["token_type_ids"] if family == "bert" else []), "attention_mask"],
    )
    torch.manual_seed(4)
    values = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "num_labels": labels,
        "initializer_range": 0.3,
    }
    if family == "roberta":
        network = RobertaForSequenceClassification(
            RobertaConfig(**values, max_position_embeddings=130, type_vocab_size=1, pad_token_id=0)
        )
    else:
        network = BertForSequenceClassification(BertConfig(**values, max_position_embeddings=128))
    network.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def hits() -> list[Hit]:
    return [
        Hit(Passage(f"d{n}", 0, len(text), text, title), 0.9 - n / 10)
        for n, (text, title) in enumerate(zip(TEXTS, ("Walrus", "", "长江"), strict=True))
    ]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_its_scores_are_those_of_sentence_transformers(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "cache"))
    folder = saved(tmp_path / family, family)
    reranker = CrossEncoderReranker(model=str(folder), precision="f32", weight=1.0)
    found = reranker.rerank([Query(q) for q in QUESTIONS], [hits(), hits()])
    judge = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())
    for question, mine in zip(QUESTIONS, found, strict=True):
        said = {hit.passage.doc_id: hit.legs[LEG] for hit in mine}
        theirs = judge.predict([(question, hit.passage.titled_text) for hit in hits()])
        np.testing.assert_allclose([said[h.passage.doc_id] for h in hits()], theirs, atol=1e-3)
        assert [h.passage.doc_id for h in mine] == [f"d{n}" for n in np.argsort(-theirs)]


def test_two_classes_are_a_score_and_three_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "cache"))
    two = CrossEncoderReranker(model=str(saved(tmp_path / "two", "bert", 2)), precision="f32", weight=1.0)
    (mine,) = two.rerank([Query(QUESTIONS[0])], [hits()])
    assert len({hit.legs[LEG] for hit in mine}) == 3
    with pytest.raises(ModelError, match="tells 3 classes apart"):
        CrossEncoderReranker(model=str(saved(tmp_path / "three", "bert", 3)), precision="f32").rerank(
            [Query(QUESTIONS[0])], [hits()]
        )
