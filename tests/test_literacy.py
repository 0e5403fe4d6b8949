"""What a vocabulary can read, of words, pieces and bytes."""

from collections.abc import Callable, Iterable

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from ragqa.literacy import HAN_LITERACY, Literacy

HAN = [chr(0x4E00 + n) for n in range(HAN_LITERACY)]
CHINESE, ENGLISH = "".join(HAN[:4]), "where do deer live"


def of_words(words: Iterable[str]) -> Tokenizer:
    vocabulary = {word: row for row, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    return tokenizer


def of_bytes(characters: Iterable[str]) -> Tokenizer:
    """Every byte, and these characters as a whole."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary, merges = {letter: row for row, letter in enumerate(alphabet)}, []
    for character in characters:
        ((letters, _),) = split.pre_tokenize_str(character)
        for end in range(2, len(letters) + 1):
            if letters[:end] not in vocabulary:
                vocabulary[letters[:end]] = len(vocabulary)
                merges.append((letters[: end - 1], letters[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize("kind", [of_words, of_bytes])
def test_chinese_is_read_where_the_vocabulary_holds_enough_of_it(
    kind: Callable[[Iterable[str]], Tokenizer],
) -> None:
    english = ENGLISH.split() if kind is of_words else []
    chinese, foreign = Literacy(kind([*HAN, *english])), Literacy(kind([*HAN[:99], *english]))
    assert chinese.understands(CHINESE)
    assert chinese.reads(CHINESE)
    assert not foreign.understands(CHINESE)
    assert not foreign.reads(CHINESE)
    for one in (chinese, foreign):
        assert one.understands(ENGLISH)
        assert one.reads(ENGLISH)


@pytest.mark.parametrize("kind", [of_words, of_bytes])
def test_one_chinese_word_is_read_and_not_understood(
    kind: Callable[[Iterable[str]], Tokenizer],
) -> None:
    english = ENGLISH.split() if kind is of_words else []
    foreign = Literacy(kind([*HAN[:99], *english]))
    question = f"{ENGLISH} {HAN[0]}"
    assert foreign.reads(question)
    assert not foreign.understands(question)


def test_what_is_trusted_understands_everything() -> None:
    assert Literacy(of_words([]), trusted=True).understands(CHINESE)
