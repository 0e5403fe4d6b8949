"""Which texts a model can make anything of, by the vocabulary of its tokenizer."""

from collections.abc import Iterable
from functools import cached_property

from tokenizers import Tokenizer, decoders

from ragqa.analysis import is_han

HAN_LITERACY = 2000
"""A vocabulary with fewer Han characters was not made for Chinese, whose everyday texts use about 3,000."""


class Literacy:
    """What the vocabulary of ``tokenizer`` can read.

    Args:
        trusted: it is taken to read every language, whatever its vocabulary.
    """

    def __init__(self, tokenizer: Tokenizer, *, trusted: bool = False) -> None:
        self._tokenizer, self._trusted = tokenizer, trusted
        self._unknown = getattr(tokenizer.model, "unk_token", None) or "<unk>"

    def is_foreign(self, text: str) -> bool:
        """Whether ``text`` holds Chinese and the vocabulary does not: no model is trained on that, nor asked.

        One Han character is enough: a Chinese question may be Latin names for the most part.
        """
        return not self._trusted and is_han(text) and not self._han

    def reads(self, text: str) -> bool:
        """Whether most tokens of ``text`` mean something to the vocabulary."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        # Only a text with Han characters makes it worth while to look through the whole vocabulary.
        strange_han = is_han(text) and not self._han
        strange = sum(token == self._unknown or (strange_han and is_han(token)) for token in tokens)
        return 2 * strange < len(tokens)

    @cached_property
    def _han(self) -> bool:
        known = sum(is_han(piece) and len(piece.removeprefix("##")) == 1 for piece in self._pieces())
        return known >= HAN_LITERACY

    def _pieces(self) -> Iterable[str]:
        """The vocabulary as text; one of bytes has a letter for each byte."""
        vocabulary = self._tokenizer.get_vocab()
        decoder = self._tokenizer.decoder
        if isinstance(decoder, decoders.ByteLevel):
            return (decoder.decode([piece]) for piece in vocabulary)
        return vocabulary
