"""The served encoder computes what sentence-transformers computes, and refuses what it cannot mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragqa import plugins
from ragqa.devices import choose_precision
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.errors import ConfigError, PluginError, UsageError
from ragqa.protocols import Vectors

NATIVE_BF16 = choose_precision("auto", "cpu") == "bf16"
PRECISIONS = [
    "f32",
    pytest.param("bf16", marks=pytest.mark.skipif(not NATIVE_BF16, reason="no bf16")),
    "int8",
]
LEAST_COSINE = {"f32": 0.9999, "bf16": 0.9999, "int8": 0.995}
LEAST_COSINE_OF_FRAGMENTS = {"f32": 0.9999, "bf16": 0.9999, "int8": 0.98}
BATCH_EFFECT = {"f32": 1e-6, "bf16": 2e-3, "int8": 1e-2}
"""How far a component may move with the texts that share the batch: padding changes the order of sums, and in
bf16 and int8 a sum that crosses a rounding boundary."""


@pytest.fixture(scope="module", params=PRECISIONS)
def encoder(request: pytest.FixtureRequest) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(precision=request.param, truncate=True)


@pytest.fixture
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["encoder"])


def test_vectors_equal_those_of_sentence_transformers(
    encoder: SentenceTransformerEncoder, precision: str, texts: Sequence[str], judged: Vectors
) -> None:
    found = encoder.encode_passages(texts)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    cosines = (found * judged).sum(axis=1)
    assert cosines[:40].min() >= LEAST_COSINE[precision]
    assert cosines[40:].min() >= LEAST_COSINE_OF_FRAGMENTS[precision]


def test_a_vector_hardly_depends_on_its_batch(
    encoder: SentenceTransformerEncoder, precision: str, texts: Sequence[str]
) -> None:
    together = encoder.encode_passages(texts)
    alone = np.vstack([encoder.encode_passages([text]) for text in texts])
    assert np.abs(together - alone).max() <= BATCH_EFFECT[precision]
    np.testing.assert_array_equal(together, encoder.encode_passages(texts))


def test_queries_and_passages_share_one_space(
    encoder: SentenceTransformerEncoder, texts: Sequence[str]
) -> None:
    few = list(texts[:2])
    np.testing.assert_array_equal(encoder.encode_queries(few), encoder.encode_passages(few))


def test_tokens_are_counted_as_the_model_sees_them(judge: Any, texts: Sequence[str]) -> None:
    odd = [*texts, "", "a" * 5000, "word " * 900]
    expected = [len(judge.tokenizer(text, truncation=False)["input_ids"]) for text in odd]
    assert SentenceTransformerEncoder().count_tokens(odd) == expected


def test_nothing_is_encoded_into_no_rows() -> None:
    encoder = SentenceTransformerEncoder()
    assert encoder.encode_passages([]).shape == encoder.encode_queries([]).shape == (0, 384)


def test_a_text_over_the_limit_is_refused_and_not_cut_silently() -> None:
    encoder = SentenceTransformerEncoder(max_passage_tokens=16)
    encoder.encode_passages(["one two three"])
    with pytest.raises(UsageError, match=r"a text of 42 tokens is too long.*up to 16 tokens.*truncate"):
        encoder.encode_passages(["fine", "word " * 40])


def test_truncation_cuts_where_sentence_transformers_cuts(judge: Any) -> None:
    long = " ".join(f"number {n}" for n in range(400))
    encoder = SentenceTransformerEncoder(truncate=True)
    assert encoder.count_tokens([long])[0] > 256
    assert float(encoder.encode_passages([long])[0] @ judge.encode(long)) >= 0.9999


def test_a_folder_with_its_own_pooling_and_prompts_is_respected(
    small_bert: Path, tmp_path: Path, texts: Sequence[str]
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    modules = [Transformer(str(small_bert)), Pooling(32, pooling_mode="cls")]
    made = SentenceTransformer(
        modules=modules, prompts={"query": "ask: ", "document": "read: "}, device="cpu"
    )
    made.save(str(tmp_path / "saved"))
    encoder = SentenceTransformerEncoder(
        model=str(tmp_path / "saved"), precision="f32", max_passage_tokens=64, truncate=True
    )
    few = list(texts[:8])
    for mine, prompt in [(encoder.encode_passages(few), "document"), (encoder.encode_queries(few), "query")]:
        wanted = made.encode(few, prompt_name=prompt, normalize_embeddings=True)
        assert (mine * wanted).sum(axis=1).min() >= 0.9999
    assert encoder.count_tokens(["a"]) == [5]  # [CLS] read : a [SEP]


@pytest.mark.parametrize(
    "query", ["", "   ", "如何微调阅读器模型?", "检索增强生成是什么", "ⴰⵣⵓⵍ ⵎⴰⵏⵉⵎⴽ ⵜⴳⵉⴷ"]
)
def test_a_query_that_the_vocabulary_cannot_read_gets_zeros(query: str) -> None:
    found = SentenceTransformerEncoder().encode_queries([query, "What is a boundary layer?"])
    assert not found[0].any()
    assert np.linalg.norm(found[1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "query", ["什么是 low-rank adaptation of large models?", "Où est la bibliothèque ?", "K2 高"]
)
def test_a_mostly_readable_query_gets_a_vector(query: str) -> None:
    assert np.linalg.norm(SentenceTransformerEncoder().encode_queries([query])) == pytest.approx(1, abs=1e-5)


def test_the_fingerprint_names_all_that_changes_vectors() -> None:
    plain = SentenceTransformerEncoder(precision="f32").fingerprint
    assert "all-MiniLM-L6-v2" in plain
    assert SentenceTransformerEncoder(precision="int8").fingerprint != plain
    assert SentenceTransformerEncoder(precision="f32", max_passage_tokens=128).fingerprint != plain
    assert SentenceTransformerEncoder(precision="f32", truncate=True).fingerprint == plain
    assert SentenceTransformerEncoder().fingerprint == plain  # bf16 where there is bf16: compatible


@pytest.mark.parametrize("tokens", [0, 2, 513])
def test_a_limit_that_the_model_does_not_have_is_refused(tokens: int) -> None:
    with pytest.raises(ConfigError, match=f"max_passage_tokens is {tokens}.*3 to 512"):
        SentenceTransformerEncoder(max_passage_tokens=tokens)


def test_unknown_options_are_refused_before_anything_loads() -> None:
    with pytest.raises(PluginError, match=r"takes no option 'presicion'.*precision"):
        plugins.check_options("encoders", {"name": "sentence_transformer", "presicion": "f32"})
    with pytest.raises(ConfigError, match="there is no 'fp8'"):
        SentenceTransformerEncoder(precision="fp8")


def test_shortened_vectors_are_those_of_sentence_transformers(judge: Any, texts: Sequence[str]) -> None:
    few = SentenceTransformerEncoder(precision="f32", truncate=True, dimensions=96)
    found = few.encode_passages(texts[:8])
    expected = judge.encode(texts[:8], truncate_dim=96, normalize_embeddings=True)
    assert found.shape == (8, few.dimension) == (8, 96)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(few.encode_queries(["What is lift?"]), axis=1), 1, atol=1e-5)
    whole = SentenceTransformerEncoder(precision="f32", truncate=True)
    assert few.fingerprint == f"{whole.fingerprint}:96d"
    with pytest.raises(ConfigError, match="dimensions is 385; accepted: 1 to 384"):
        SentenceTransformerEncoder(dimensions=385)
