"""The tokens of every text of a data set, made once."""

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer

from ragqa.types import Example
from ragqa.windows import TokenText, tokenize

_BATCH = 2048


class TokenTexts:
    """Text → its tokens, for the queries, titles and passages of examples."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, TokenText] = {}

    def add(self, examples: Sequence[Example], others: Iterable[str] = ()) -> None:
        """Tokenise every text of ``examples``, and ``others``, that is not known yet, in large batches."""
        texts = (
            {text for e in examples for p in (*e.positives, *e.hard_negatives) for text in (p.text, p.title)}
            | {e.query.text for e in examples}
            | set(others)
        )
        missing = sorted(texts - self._known.keys())
        for at in range(0, len(missing), _BATCH):
            batch = missing[at : at + _BATCH]
            self._known.update(zip(batch, tokenize(self._tokenizer, batch), strict=True))

    def __getitem__(self, text: str) -> TokenText:
        return self._known[text]
