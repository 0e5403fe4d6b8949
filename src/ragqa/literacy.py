"""Which texts a model can make anything of, by the vocabulary of its tokenizer."""

from functools import cached_property

from tokenizers import Tokenizer

from ragqa.analysis import is_han

HAN_LITERACY = 2000
"""A vocabulary with fewer Han characters was not made for Chinese, whose everyday texts use about 3,000."""


class Literacy:
    """What the vocabulary of ``tokenizer`` can read."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._unknown = getattr(tokenizer.model, "unk_token", None) or "<unk>"

    def reads(self, text: str) -> bool:
        """Whether most tokens of ``text`` mean something to the vocabulary."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        # Only a text with Han characters makes it worth while to look through the whole vocabulary.
        strange_han = is_han(text) and not self.han
        strange = sum(token == self._unknown or (strange_han and is_han(token)) for token in tokens)
        return 2 * strange < len(tokens)

    @cached_property
    def han(self) -> bool:
        """Whether it was made for Chinese, among others."""
        known = sum(
            is_han(token) and len(token.removeprefix("##")) == 1 for token in self._tokenizer.get_vocab()
        )
        return known >= HAN_LITERACY
