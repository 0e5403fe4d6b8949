"""Follows headings, sentences and table rows; the path of headings is the title of each passage."""

from ragqa.pieces import CountTokens, Cutter
from ragqa.sections import sections
from ragqa.types import Document, Passage


class HeadingsSplitter:
    """Cuts at headings first, then at paragraphs, sentences and words; a table row is a passage of its own.

    Args:
        count_tokens: the encoder's own count, special tokens included.
        max_passage_tokens: at most so many tokens in title and text together.
        overlap_words: words repeated from the piece before, within a section.
    """

    def __init__(
        self, count_tokens: CountTokens, *, max_passage_tokens: int = 200, overlap_words: int = 0
    ) -> None:
        self._cutter = Cutter(count_tokens, max_passage_tokens, overlap_words)

    def split(self, document: Document) -> list[Passage]:
        return self._cutter.passages(document, sections(document))
