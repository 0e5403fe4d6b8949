"""Questions that the generator writes for words of a passage, and that lead a reader back to these words.

Several are written side by side for an answer. The best is taken which the reader, shown the passage, answers with the
same words; where there is none, the one whose answer comes closest (round trip, Alberti et al. 2019,
arXiv:1906.05416).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ragqa.beams import BeamSearch
from ragqa.evaluation.answers import exact_match, f1
from ragqa.protocols import Reader
from ragqa.types import Hit, Passage, Query, Span
from ragqa.writing import QUESTION_SEARCH, PointerWriter


@dataclass(frozen=True, slots=True)
class WrittenQuestion:
    """``f1`` of what the reader answers beside what was asked for, 0 to 1; ``leads_back`` where both are the same."""

    text: str
    f1: float
    leads_back: bool


def questions_for(
    writer: PointerWriter,
    reader: Reader,
    passages: Sequence[Passage],
    answers: Sequence[Span],
    *,
    search: BeamSearch = QUESTION_SEARCH,
) -> list[WrittenQuestion]:
    """For each passage the best of the questions found that the answer at a span of its text answers.

    The text is empty where nothing can be asked: the answer is white space or longer than a window.
    """
    drafts = writer.ask(passages, answers, search=search)
    return leading_back(reader, passages, answers, [[draft.text for draft in mine] for mine in drafts])


def leading_back(
    reader: Reader, passages: Sequence[Passage], answers: Sequence[Span], texts: Sequence[Sequence[str]]
) -> list[WrittenQuestion]:
    """Of the ``texts`` for each answer, best first, the one that leads the reader back to it, or nearest to it."""
    asked = [(text, row) for row, mine in enumerate(texts) for text in dict.fromkeys(mine) if text]
    read = reader.read([Query(text) for text, _ in asked], [[Hit(passages[row], 1.0)] for _, row in asked])
    tried: list[list[WrittenQuestion]] = [[] for _ in passages]
    for (text, row), answer in zip(asked, read, strict=True):
        wanted = [passages[row].text[answers[row].start : answers[row].end]]
        # What it would say without a threshold: what is asked here has its answer in the passage.
        found = answer.unrefused
        tried[row].append(WrittenQuestion(text, f1(found, wanted), exact_match(found, wanted) == 1.0))
    nothing = WrittenQuestion("", 0.0, leads_back=False)
    # Of equals the first, which is the best without a reader.
    return [max(mine, key=lambda one: (one.leads_back, one.f1), default=nothing) for mine in tried]
