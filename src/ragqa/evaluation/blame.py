"""Whose fault a wrong answer is: for each question one verdict, from what each stage passed on."""

from dataclasses import dataclass
from enum import StrEnum

from ragqa.evaluation.answers import RIGHT_F1


class Verdict(StrEnum):
    """What became of a question; the first two are as they should be."""

    ANSWERED = "answered"
    RIGHTLY_REFUSED = "rightly refused"
    READER_MISSED = "reader missed"
    RERANKER_DROPPED = "reranker dropped"
    RETRIEVER_MISSED = "retriever missed"
    WRONGLY_REFUSED = "wrongly refused"
    WRONGLY_ANSWERED = "wrongly answered"
    NOT_CHOSEN = "not chosen"


GOOD = frozenset({Verdict.ANSWERED, Verdict.RIGHTLY_REFUSED})

MEANING = {
    Verdict.ANSWERED: f"a right answer was given: F1 ≥ {RIGHT_F1}, or a whole sentence that holds a gold answer",
    Verdict.RIGHTLY_REFUSED: "the documents do not answer, and no answer was given",
    Verdict.READER_MISSED: "the gold passage was read, and another answer was given",
    Verdict.RERANKER_DROPPED: "the retriever had the gold passage among the hits to be read, the reranker moved it out",
    Verdict.RETRIEVER_MISSED: "the gold passage was not among the hits that were read",
    Verdict.WRONGLY_REFUSED: "the gold passage was read, and no answer was given",
    Verdict.WRONGLY_ANSWERED: "the documents do not answer, and an answer was given",
    Verdict.NOT_CHOSEN: "the right option was not chosen; which passage speaks for it is not known",
}


@dataclass(frozen=True, slots=True)
class Course:
    """How a question went through the stages.

    Attributes:
        answerable: whether the documents answer it.
        retrieved: the gold passage was among the ``top_k`` that the retriever alone would have given to the reader.
        read: it was among those that the reader was given; None where no gold passage is known.
        right: whether the answer that was given is right; None where none was.
    """

    answerable: bool
    retrieved: bool
    read: bool | None
    right: bool | None


def verdict(course: Course) -> Verdict:
    """The one verdict on a question. A right answer counts wherever it was found."""
    if not course.answerable:
        return Verdict.RIGHTLY_REFUSED if course.right is None else Verdict.WRONGLY_ANSWERED
    if course.right:
        return Verdict.ANSWERED
    if course.read is None:
        return Verdict.NOT_CHOSEN
    if not course.read:
        return Verdict.RERANKER_DROPPED if course.retrieved else Verdict.RETRIEVER_MISSED
    return Verdict.WRONGLY_REFUSED if course.right is None else Verdict.READER_MISSED
