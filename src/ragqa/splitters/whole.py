"""A document is one passage, as retrieval benchmarks publish their figures."""

from ragqa.types import Document, Passage


class WholeSplitter:
    """One passage for each document, however long: the encoder sees only what its window holds."""

    def split(self, document: Document) -> list[Passage]:
        text = document.text.strip()
        start = len(document.text) - len(document.text.lstrip())
        passage = Passage(document.id, start, start + len(text), text, document.title)
        return [passage] if text else []
