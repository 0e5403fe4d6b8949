"""Ignores headings: paragraphs, sentences and words only; table rows stay whole."""

from ragqa.pieces import CountTokens, Cutter
from ragqa.sections import whole
from ragqa.types import Document, Passage


class RecursiveSplitter:
    """Cuts at paragraphs, sentences and words; every passage has the document's title.

    Args:
        count_tokens: the encoder's own count, special tokens included.
        max_passage_tokens: at most so many tokens in title and text together.
        overlap_words: words repeated from the piece before.
    """

    def __init__(
        self, count_tokens: CountTokens, *, max_passage_tokens: int = 200, overlap_words: int = 0
    ) -> None:
        self._cutter = Cutter(count_tokens, max_passage_tokens, overlap_words)

    def split(self, document: Document) -> list[Passage]:
        return self._cutter.passages(document, whole(document))
