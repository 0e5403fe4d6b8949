"""Plain text: kept as it is but for newlines and control characters."""

from collections.abc import Iterator
from pathlib import Path

from ragqa.decoding import read_text
from ragqa.manuscript import title_of
from ragqa.paths import readable
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".txt", ".text")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document; its title is the name of the file."""
    yield Document(id=doc_id, text=read_text(path), title=title_of(path), source=readable(path))
