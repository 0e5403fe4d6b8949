"""What the reader of an answer says of it: /good and /bad, one record a line, and the training questions in them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ragqa.conversation.exchange import Exchange, Source
from ragqa.conversation.journal import FEEDBACK, SUFFIX, append_line
from ragqa.data.lines import record
from ragqa.errors import DataError

FILE = f"{FEEDBACK}{SUFFIX}"

Verdict = Literal["good", "bad"]


class Feedback(BaseModel):
    """A verdict on one exchange, which ``conversation`` and ``asked`` (its time) name.

    ``example`` is a labelled question in the form of ``ragqa.data.jsonl``, or null where none follows from the verdict.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    verdict: Verdict
    question: str
    standalone: str
    answer: str | None
    correct: str | None = None
    citations: tuple[Source, ...] = ()
    conversation: str = ""
    asked: str = ""
    time: str = ""
    example: dict[str, Any] | None = None


def feedback(verdict: Verdict, exchange: Exchange, conversation: str, correct: str = "") -> Feedback:
    """The record of a verdict; ``correct`` is the answer that would have been right."""
    return Feedback(
        verdict=verdict,
        question=exchange.question,
        standalone=exchange.standalone,
        answer=exchange.answer,
        correct=correct or None,
        citations=exchange.citations,
        conversation=conversation,
        asked=exchange.time,
        time=datetime.now(UTC).isoformat(timespec="microseconds"),
        example=_example(verdict, exchange, correct),
    )


def _example(verdict: Verdict, exchange: Exchange, correct: str) -> dict[str, Any] | None:
    """The labelled question: a good answer where it was read, a right one if the passage holds it.

    A good refusal is a question that the nearest passage does not answer. A bad answer alone teaches nothing here.
    """
    passage = exchange.passage
    if passage is None or (verdict == "bad" and not correct):
        return None
    labelled: dict[str, Any] = {
        "question": exchange.standalone,
        "passage": passage.text,
        "answers": [],
        "document": passage.document,
        "title": passage.title,
    }
    if verdict == "good" and exchange.answer is None:
        return labelled
    quote, start = correct, passage.text.find(correct)
    if verdict == "good":
        if not exchange.citations or exchange.citations[0].document != passage.document:
            return None
        quote, start = exchange.citations[0].quote, exchange.citations[0].start - passage.start
    if start < 0 or not passage.text.startswith(quote, start):
        return None
    return {**labelled, "answers": [quote], "start": start}


def keep(folder: Path, verdict: Feedback) -> None:
    """Add a verdict to the folder's feedback.

    Raises:
        ConversationError: the disk does not take it.
    """
    append_line(folder / FILE, verdict.model_dump_json())


def labelled(folder: Path) -> Iterator[dict[str, Any]]:
    """The training questions of a folder's feedback; of several verdicts on one answer the last counts.

    Raises:
        DataError: the file cannot be read, or a line is no verdict.
    """
    path = folder / FILE
    last: dict[tuple[str, str], Feedback] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(
            f"{path} cannot be read: {fault}", next_step="judge answers with /good and /bad in ragqa chat"
        ) from fault
    for number, line in enumerate(lines, 1):
        try:
            verdict = record(Feedback, line)
        except DataError as fault:
            raise DataError(f"{path} line {number}: {fault.found}") from None
        last[verdict.conversation, verdict.asked] = verdict
    yield from (verdict.example for verdict in last.values() if verdict.example)
