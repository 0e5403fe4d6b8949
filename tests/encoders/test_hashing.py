"""Feature hashing: exact, the same on every machine, near where words are shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.encoders.hashing import HashingEncoder
from ragqa.errors import ConfigError

ENCODER = HashingEncoder(dimensions=64)
TEXTS = st.lists(st.text(max_size=60), max_size=8)


@given(TEXTS)
def test_every_passage_has_length_one_and_no_query_another(texts: list[str]) -> None:
    np.testing.assert_allclose(
        np.linalg.norm(ENCODER.encode_passages(texts), axis=1), np.ones(len(texts)), atol=1e-6
    )
    lengths = np.linalg.norm(ENCODER.encode_queries(texts), axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-6) | (lengths == 0))


@given(TEXTS)
def test_a_vector_does_not_depend_on_its_batch(texts: list[str]) -> None:
    alone = [ENCODER.encode_passages([text])[0] for text in texts]
    np.testing.assert_array_equal(ENCODER.encode_passages(texts), np.array(alone).reshape(len(texts), 64))


def test_vectors_are_the_same_on_every_machine() -> None:
    # `printf shock | b2sum -l 64` as a number, halved: its remainder by 64 is the place, the last bit the sign.
    found = ENCODER.encode_passages(["Shocks!"])[0]
    assert np.flatnonzero(found).tolist() == [52]
    assert found[52] == -1.0


def test_shared_words_bring_texts_near() -> None:
    encoder = HashingEncoder()
    query = encoder.encode_queries(["supersonic shock waves"])[0]
    near, far = encoder.encode_passages(
        ["A shock wave in supersonic flow.", "Simmer the lentils in cold water."]
    )
    assert float(query @ near) > 0.5 > abs(float(query @ far))


def test_a_query_without_terms_is_zero_and_a_passage_without_terms_is_not() -> None:
    assert not ENCODER.encode_queries(["", "the of !?"]).any()
    assert ENCODER.encode_passages(["", "the of !?"]).any(axis=1).all()


def test_tokens_are_words_signs_and_han_characters() -> None:
    assert ENCODER.count_tokens(["", "Two words.", "问答 system", "don't"]) == [0, 3, 3, 3]


def test_the_fingerprint_tells_dimensions_apart() -> None:
    assert HashingEncoder(dimensions=64).fingerprint != HashingEncoder().fingerprint
    with pytest.raises(ConfigError, match="dimensions is 0"):
        HashingEncoder(dimensions=0)
