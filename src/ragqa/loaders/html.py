"""HTML pages: visible text, headings, lists and tables, without navigation and scripts."""

from collections.abc import Iterator
from pathlib import Path

from ragqa.manuscript import Manuscript
from ragqa.markup import write_html
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".html", ".htm", ".xhtml")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document, titled by ``<title>``."""
    manuscript = Manuscript()
    title = write_html(path.read_bytes(), manuscript)
    yield manuscript.document(doc_id, path, title)
