"""What an adapter is: a file of this folder with a function ``system(variant) -> System``.

The same four steps for everybody. ``load`` imports the library and opens the model, so that ``build`` is indexing
alone; ``open`` reads the saved index in a new process. Documents are the files that ``worker`` wrote for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BATCH = 32
"""Texts encoded together, wherever a peer lets one say so."""

MAX_TOKENS = 256
"""Where passages are cut, as the model's published figures have it."""

DIMENSION = 384


@dataclass(frozen=True, slots=True)
class Source:
    """A document of the benchmark."""

    id: str
    title: str
    text: str

    @property
    def passage(self) -> str:
        """What is encoded: the title in front of the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


class System(Protocol):
    """One system under measurement; ``search`` gives (document id, score), best first."""

    def load(self) -> None: ...

    def build(self, corpus: Path, sources: Sequence[Source], folder: Path) -> None:
        """Index ``sources`` (which ``corpus`` holds as a BEIR file) and save everything in ``folder``."""

    def open(self, folder: Path) -> None: ...

    def search(self, query: str, top_k: int) -> list[tuple[str, float]]: ...
