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

    def understands(self, text: str) -> bool:
        """Whether ``text`` holds no Chinese, or the vocabulary does.

        One Han character is enough: a Chinese question may be Latin names for the most part.
        """
        return self._trusted or not is_han(text) or self._han

    def reads(self, text: str) -> bool:
        """Whether most tokens of ``text`` mean something to the vocabulary."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        # Only a text with Han characters makes it worth while to look through the whole vocabulary.
        strange_han = is_han(text) and not self._han
        strange = sum(
            token == self._unknown or (strange_han and _is_han_or_part(piece))
            for token, piece in zip(tokens, self._pieces(tokens), strict=True)
        )
        return 2 * strange < len(tokens)

    @cached_property
    def _han(self) -> bool:
        pieces = self._pieces(self._tokenizer.get_vocab())
        return sum(is_han(piece) and len(piece.removeprefix("##")) == 1 for piece in pieces) >= HAN_LITERACY

    def _pieces(self, tokens: Iterable[str]) -> Iterable[str]:
        """Tokens as text; those of bytes have a letter for each byte."""
        decoder = self._tokenizer.decoder
        if isinstance(decoder, decoders.ByteLevel):
            return [decoder.decode([token]) for token in tokens]
        return list(tokens)


def _is_han_or_part(piece: str) -> bool:
    """Some bytes of a character are none."""
    return is_han(piece) or "\ufffd" in piece
