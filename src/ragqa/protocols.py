"""What the stages must be able to do. Each takes a batch and has one verb."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ragqa.types import Answer, Document, Example, Hit, Passage, Query, Rewritten, Turn

Vectors = npt.NDArray[np.float32]
"""Shape (N, D), float32, each row of length 1."""

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

Storage = Literal["float32", "float16", "int8"]
"""What matrices of a model are stored in; see ``checkpoints``."""

Heard = Callable[[str], None]
"""Gets each piece of a text as it is written; may be given the empty piece, and ends the writing by raising."""


class Splitter(Protocol):
    """Document → passages, in reading order."""

    def split(self, document: Document) -> list[Passage]:
        """Passages with ``document.text[p.start:p.end] == p.text``; every non-blank character is in one."""
        ...


class Encoder(Protocol):
    """Text → vectors."""

    @property
    def fingerprint(self) -> str:
        """Names model, digest and precision: vectors of different fingerprints must not be mixed."""
        ...

    @property
    def dimension(self) -> int:
        """D, the length of each vector."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each text, shape (N, D)."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each query, shape (N, D); all zeros for a query the vocabulary cannot read."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of the model's limit each text takes, special tokens included."""
        ...


class Runtime(Protocol):
    """Model + ids → arrays.

    ``batch_tokens`` is how many tokens a batch should hold at most, padding counted.
    """

    batch_tokens: int

    def run(self, batches: Sequence[tuple[Rows, Rows, Rows]]) -> list[list[Scores]]:
        """For each batch of ids, mask and token types, each (N, L), the model's outputs; safe in many threads."""
        ...


class VectorStore(Protocol):
    """Vectors → nearest rows, by inner product."""

    def add(self, vectors: Vectors) -> None:
        """Append rows, shape (N, D); the first row ever added is row 0."""
        ...

    def search(self, queries: Vectors, top_k: int) -> tuple[Scores, Rows]:
        """Best rows of each query, best first: scores and rows, each (Q, min(top_k, N)).

        Equal scores are ordered by row. Places that an approximate search could not fill hold row -1.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write everything that ``load`` needs into the existing ``folder``."""
        ...

    def load(self, folder: Path) -> None:
        """Take the state that ``save`` wrote."""
        ...


class TermIndex(Protocol):
    """Term lists → lexical scores."""

    def add(self, texts: Sequence[Sequence[str]]) -> None:
        """Append texts, each as its terms in order; the first ever added is row 0. Called once."""
        ...

    def search(self, queries: Sequence[Sequence[str]], top_k: int) -> list[tuple[Scores, Rows]]:
        """For each query the best rows with a score above 0, best first, at most ``top_k``."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything that ``load`` needs into the existing ``folder``."""
        ...

    def load(self, folder: Path) -> None:
        """Take the state that ``save`` wrote."""
        ...


class Reranker(Protocol):
    """Hits → better hits."""

    candidates: int
    """How many hits of a query it wants to see, best first."""

    def rerank(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[list[Hit]]:
        """The same hits of each query in a better order, with the scores that make it."""
        ...


class Rewriter(Protocol):
    """Follow-up question → question that stands alone."""

    def rewrite(self, history: Sequence[Turn], question: str) -> Rewritten:
        """The question with what it leaves to the history, oldest turn first; as it is where nothing is missing.

        Never empty, and never without a word of the question that says what it is about.
        """
        ...


class Reader(Protocol):
    """Query and hits → answer."""

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, read from its hits, best hit first."""
        ...


@runtime_checkable
class StreamingReader(Protocol):
    """Query and hits → answer, heard while it is written."""

    def stream(self, query: Query, hits: Sequence[Hit], heard: Heard) -> Answer:
        """The same answer as ``read`` gives.

        What was heard is what was written. Only the answer tells whether it stands: its text may be None, or another.
        """
        ...


ENCODES = "FEATURE_EXTRACTION"
"""peft's name for the task of an encoder without a head."""


class Tunable(Protocol):
    """A model whose ``encoder`` can be exchanged for one with fewer weights to train; its head always trains."""

    encoder: Any
    peft_task: str
    """What peft calls the task of the encoder, which may be a whole language model."""

    def requires_grad_(self, requires_grad: bool = ...) -> Any: ...


class Tuning(Protocol):
    """Which weights train."""

    rate: float
    """Times the learning rate that full tuning would have."""

    added_tokens: int
    """Tokens that it puts in front of every input."""

    folds: bool
    """Whether ``merge`` leaves a model of the same shape as before, which any library loads."""

    def apply(self, model: Tunable) -> None:
        """Add what is added, and let exactly the chosen parameters train."""
        ...

    def merge(self, model: Tunable) -> None:
        """Fold into the weights what can be folded, so that serving computes nothing beside them."""
        ...

    def export(self, model: Tunable, folder: Path) -> None:
        """Write what was trained in the format that other tools load, where there is one."""
        ...


class Continual(Protocol):
    """What keeps old skills while a model learns new ones."""

    def begin_task(self, model: Tunable, examples: Sequence[Example]) -> Sequence[Example]:
        """Once, before the first step: the model as it is, and what is new → what is learned, old things among it."""
        ...

    def penalty(self, model: Any) -> Any:
        """Added to the loss of every step, those that only measure the time among them: a scalar tensor, or None."""
        ...

    def end_task(self, folder: Path) -> None:
        """After training: leave in the folder of the model what the next task needs."""
        ...
