"""The values that flow through ragqa; all frozen, none knows how it was made.

Document ──split──▶ Passage ──retrieve──▶ Hit ──read──▶ Answer
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` (inclusive) to ``end`` (exclusive) of some text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading whose section begins at character ``start``; ``level`` 1 is the outermost."""

    start: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """One text with what its file knew about it.

    ``headings`` are in reading order. ``pages`` holds the character at which each page starts (empty where
    the format has no pages). ``rows`` are table rows: each is kept whole as a passage of its own.
    """

    id: str
    text: str
    title: str = ""
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    headings: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()
    rows: tuple[Span, ...] = ()

    def page_at(self, position: int) -> int | None:
        """The 1-based page that holds character ``position``, or None where there are no pages."""
        return page_of(self.pages, position)


def page_of(pages: tuple[int, ...], position: int) -> int | None:
    """The 1-based page that holds ``position``, given the first character of each page."""
    return max(1, bisect_right(pages, position)) if pages else None


@dataclass(frozen=True, slots=True)
class Passage:
    """The retrieved unit: ``document.text[start:end] == text``. ``title`` is the path of headings above it."""

    doc_id: str
    start: int
    end: int
    text: str
    title: str = ""

    @property
    def id(self) -> str:
        return f"{self.doc_id}:{self.start}-{self.end}"

    @property
    def titled_text(self) -> str:
        """What encoders and BM25 see: the title in front of the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """A question; ``choices`` are the options of a multiple-choice question, ``history`` the earlier turns."""

    text: str
    id: str = ""
    choices: tuple[str, ...] = ()
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and the score that orders it; greater is better. ``legs`` holds what each stage said of it.

    Those are the raw scores of the retrievers and, after a reranker, its own and the fused one of before.
    """

    passage: Passage
    score: float
    legs: Mapping[str, float] = field(default_factory=dict)

    @property
    def fused(self) -> float:
        """The score of the retrievers together, whatever came after them."""
        return self.legs.get("fused", self.score)


@dataclass(frozen=True, slots=True)
class Citation:
    """The exact words relied on: ``document.text[start:end] == quote``."""

    doc_id: str
    start: int
    end: int
    quote: str
    page: int | None = None


def passage_of(citation: Citation, hits: Sequence[Hit]) -> Passage | None:
    """The passage of the first hit that holds a citation."""
    passages = (hit.passage for hit in hits if hit.passage.doc_id == citation.doc_id)
    return next((one for one in passages if one.start <= citation.start < one.end), None)


@dataclass(frozen=True, slots=True)
class Supported:
    """A sentence of an answer, characters ``start`` to ``end`` of its text, and what bears it out.

    ``score`` is 1 where a document has the very words and 0 where nothing bears it out; an unsupported sentence has no
    citations.
    """

    start: int
    end: int
    score: float
    citations: tuple[Citation, ...] = ()


CLOSED_BOOK_NOTE = "no passage was read: this is what the model makes of the question alone"
"""The note of an answer that no passage was read for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``text is None`` means: not in these documents. ``confidence`` is a calibrated probability.

    ``sentence`` is the sentence of the document around the (first) citation, ``note`` what the user should know
    of how the answer was found, ``details`` the reader's figures for ``--explain``. ``sentences`` are those of
    ``text``, each with its own citations; ``citations`` are all of them in order, each once. Where the answer had to
    fit a JSON Schema, ``data`` is the value that ``text`` writes down, and ``failure`` says why what was written would
    not do: then ``text is None`` says nothing of the documents. ``candidate`` is what would be answered if nothing were
    refused, '' where there is nothing at all. Readers set it; ``unrefused`` is to be read, whichever reader it was.
    """

    text: str | None
    confidence: float
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    sentence: str = ""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    sentences: tuple[Supported, ...] = ()
    data: Any = None
    failure: str = ""
    candidate: str = ""

    @property
    def unrefused(self) -> str:
        """What would be answered if nothing were refused; of a reader that sets no ``candidate`` its ``text``."""
        return self.candidate or self.text or ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: the question as asked, as it stands alone, and the answer (None: refused)."""

    question: str
    standalone: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A question that stands alone, and why it reads so; ``reason`` is for people."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled question.

    ``spans`` locate ``answers`` in the text of ``positives[0]``; no positives means that nothing answers it.
    ``shares`` says how much each of the ``positives`` is worth as the target of a retriever, together 1; empty: the
    first is the target, and the others count neither way.
    """

    query: Query
    answers: tuple[str, ...] = ()
    positives: tuple[Passage, ...] = ()
    spans: tuple[Span, ...] = ()
    hard_negatives: tuple[Passage, ...] = ()
    choice: int | None = None
    shares: tuple[float, ...] = ()

    @property
    def answer_known(self) -> bool:
        """Whether words that answer are known, or that nothing does; right options and right passages tell neither."""
        without_passage = self.choice is not None and not self.hard_negatives
        return bool(self.answers) or not (self.positives or without_passage)
