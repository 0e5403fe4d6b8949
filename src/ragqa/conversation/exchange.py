"""One exchange of a conversation, as its file keeps it."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from ragqa.reports import sentence_records
from ragqa.types import Answer, Citation, Passage, Rewritten, Turn, passage_of


class Source(BaseModel):
    """Words that an answer relies on: characters ``start`` to ``end`` (exclusive) of a document."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    document: str
    start: int
    end: int
    quote: str
    page: int | None = None


class Read(BaseModel):
    """The passage that the answer was read in, or the nearest one where there is no answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    document: str
    start: int
    title: str
    text: str


class Sentence(BaseModel):
    """Characters ``start`` to ``end`` of an answer, and which of its citations (from 0) bear them out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    start: int
    end: int
    support: float
    citations: tuple[int, ...] = ()


class Exchange(BaseModel):
    """A question and what came of it; ``answer`` is null where the documents do not answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str = Field(min_length=1)
    standalone: str = Field(min_length=1)
    reason: str = ""
    answer: str | None = None
    confidence: float = 0.0
    sentence: str = ""
    note: str = ""
    citations: tuple[Source, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    passage: Read | None = None
    time: str = ""

    @property
    def turn(self) -> Turn:
        """What a later question may point back to."""
        return Turn(self.question, self.standalone, self.answer)


def exchange(question: str, rewritten: Rewritten, answer: Answer) -> Exchange:
    """The record of an answer given now; its time is UTC, to the microsecond, so that it names the exchange."""
    passage = _read(answer)
    return Exchange(
        question=question,
        standalone=rewritten.text,
        reason=rewritten.reason,
        answer=answer.text,
        confidence=round(answer.confidence, 6),
        sentence=answer.sentence if answer.text is not None else "",
        note=answer.note,
        citations=tuple(_source(c) for c in answer.citations),
        sentences=tuple(Sentence.model_validate(record) for record in sentence_records(answer)),
        passage=passage
        and Read(document=passage.doc_id, start=passage.start, title=passage.title, text=passage.text),
        time=datetime.now(UTC).isoformat(timespec="microseconds"),
    )


def _source(citation: Citation) -> Source:
    return Source(
        document=citation.doc_id,
        start=citation.start,
        end=citation.end,
        quote=citation.quote,
        page=citation.page,
    )


def _read(answer: Answer) -> Passage | None:
    """The hit that holds the first citation, else the best one."""
    cited = passage_of(answer.citations[0], answer.hits) if answer.citations else None
    return cited or (answer.hits[0].passage if answer.hits else None)
