"""ragqa's own JSON Lines → examples: one labelled question a line.

    {"question": "When does the lease end?", "passage": "The lease ends in May.", "answers": ["May"]}

``passage`` is the text that holds the answer; ``answers`` is empty for a question that it does not answer. Optional:
``choices`` and ``correct`` make it a question with options, which needs neither passage nor answers. Optional:
``start`` (the character at which the first answer stands, for one that occurs twice), ``document`` (what the passage
belongs to: the questions of a document stay on one side of every split), ``title`` (shown to the model in front of the
passage), ``negatives`` (texts that look right and are not), ``also`` (other passages that answer, each with the share
of a retriever's target that it is worth), ``id``.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ragqa.data.faults import OnBad, refuse
from ragqa.data.lines import load_lines, record
from ragqa.errors import DataError
from ragqa.types import Example, Passage, Query, Span

_NEGATIVES = " (negatives)"
"""What is added to a document's name for texts that belong to no document."""

_IN_NUMBER = re.compile(r"(?<=\d)(?=[.,]\d)|(?<=\d[.,])(?=\d)")
"""The places before and after the point or the comma of a number."""


class Also(BaseModel):
    """Another passage that answers a question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passage: str = Field(min_length=1, description="its text")
    document: str | None = Field(None, description="what it belongs to; default: the passage itself")
    title: str = Field("", description="shown to the model in front of it")
    share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="what it is worth as the target of a retriever; the first passage has what the others leave",
    )


class Record(BaseModel):
    """One line; the JSON Schema of the format is made from this class."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "anyOf": [{"required": ["passage", "answers"]}, {"required": ["choices", "correct"]}]
        },
    )

    question: str = Field(min_length=1, description="the question")
    passage: str | None = Field(
        None,
        min_length=1,
        description="the text that holds the answer; only a question with choices needs none",
    )
    answers: tuple[str, ...] | None = Field(
        None, description="every accepted wording, in the passage; empty: no answer"
    )
    choices: tuple[str, ...] = Field((), description="options to choose from, two or more")
    correct: str | None = Field(
        None, description="the right one of the choices, word for word, or its letter"
    )
    start: int | None = Field(None, ge=0, description="the character at which the first answer stands")
    document: str | None = Field(None, description="what the passage belongs to; default: the passage itself")
    title: str = Field("", description="shown to the model in front of the passage")
    negatives: tuple[str, ...] = Field((), description="texts that look right and do not hold the answer")
    also: tuple[Also, ...] = Field((), description="other passages that answer, too")
    id: str | None = Field(None, description="default: the number of the line")


def load(path: Path, on_bad: OnBad = refuse, *, needs_passage: bool = True) -> list[Example]:
    """Every question of the file, in its order.

    Args:
        needs_passage: whether a question with answers must have one.
        on_bad: is told of each line that does not fit, by number and reason; such a line is left out.

    Raises:
        DataError: the file cannot be read, or a bad line, unless ``on_bad`` accepts it.
    """
    documents = _Documents()
    examples = load_lines(
        path,
        lambda line, number: _example(record(Record, line), number, documents, needs_passage),
        on_bad,
    )
    return with_known_negatives(examples)


def with_known_negatives(examples: Sequence[Example]) -> list[Example]:
    """A negative that is the passage of another line is that passage, not a copy of it."""
    asked = (passage for e in examples for passage in (*e.hard_negatives[:1], *e.positives))
    known = {p.text: p for p in asked if not p.doc_id.endswith(_NEGATIVES)}
    return [
        replace(
            e,
            hard_negatives=tuple(
                known.get(n.text, n) if n.doc_id.endswith(_NEGATIVES) else n for n in e.hard_negatives
            ),
        )
        if e.hard_negatives
        else e
        for e in examples
    ]


def schema() -> Mapping[str, Any]:
    """The JSON Schema of one line."""
    return Record.model_json_schema()


class _Documents:
    """Gives every distinct text of a document a place of its own in it."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {}
        self._ends: dict[str, int] = {}

    def passage(self, document: str, text: str, title: str) -> Passage:
        places = self._places.setdefault(document, {})
        if text not in places:
            places[text] = self._ends.get(document, 0)
            self._ends[document] = places[text] + len(text) + 1
        return Passage(document, places[text], places[text] + len(text), text, title)


def _example(record: Record, number: int, documents: _Documents, needs_passage: bool) -> Example:
    query = Query(record.question.strip(), id=record.id or f"line {number}", choices=record.choices)
    if not query.text:
        raise DataError("question: is blank")
    choice = _choice(record)
    if record.passage is None and record.answers and not needs_passage:
        if not all(answer.strip() for answer in record.answers):
            raise DataError("answers: one is blank", accepted="words of the answer")
        return Example(query, record.answers)
    if record.passage is None or record.answers is None:
        if choice is None or record.answers is not None:
            missing = "passage" if record.passage is None else "answers"
            raise DataError(f"{missing}: Field required", accepted=", ".join(Record.model_fields))
        positives = () if record.passage is None else (_passage(record, documents),)
        return Example(query, positives=positives, choice=choice)
    passage = _passage(record, documents)
    negatives = tuple(
        documents.passage(f"{passage.doc_id}{_NEGATIVES}", text, "") for text in record.negatives
    )
    if not record.answers:
        if record.also:
            raise DataError("also: other passages answer, but there are no answers", accepted="answers, too")
        return Example(query, hard_negatives=(passage, *negatives), choice=choice)
    _require_apart(record)
    spans = [
        _span(record, passage.text, answer, first=place == 0) for place, answer in enumerate(record.answers)
    ]
    others = tuple(_placed(one.passage, one.document, one.title, documents) for one in record.also)
    return Example(
        query, record.answers, (passage, *others), tuple(spans), negatives, choice, _shares(record.also)
    )


def _require_apart(record: Record) -> None:
    """Refuse a passage that is called both right and wrong."""
    right = [record.passage, *(one.passage for one in record.also)]
    both = next((text for text in record.negatives if text in right), None)
    if both is not None:
        name = "the passage itself" if both == record.passage else "a passage of also"
        raise DataError(f"negatives: one is {name}", accepted="texts that do not hold the answer")


def _shares(also: Sequence[Also]) -> tuple[float, ...]:
    """The shares of all passages, the first one's being what the others leave; empty where it has all."""
    others = [one.share for one in also]
    if not any(others):
        return ()
    if sum(others) >= 1:
        raise DataError(
            f"also: the shares are {sum(others):g} together",
            accepted="less than 1; the rest is the passage's",
        )
    return (1 - sum(others), *others)


def _passage(record: Record, documents: _Documents) -> Passage:
    return _placed(record.passage or "", record.document, record.title, documents)


def _placed(text: str, document: str | None, title: str, documents: _Documents) -> Passage:
    # Without a name the passage is its own document: equal passages stay on one side of a split.
    name = document or f"passage {hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return documents.passage(name, text, title)


def _choice(record: Record) -> int | None:
    """Which of the choices is right; None for a question without choices."""
    if not record.choices and record.correct is None:
        return None
    if len(record.choices) < 2 or len(set(record.choices)) < len(record.choices):
        raise DataError(
            f"choices: {len(set(record.choices))} different ones", accepted="two or more, each once"
        )
    if record.correct in record.choices:
        return record.choices.index(record.correct)
    letters = [chr(ord("A") + place) for place in range(len(record.choices))]
    if record.correct not in letters:
        raise DataError(
            f"correct: {record.correct!r} is none of the choices",
            accepted=f"{', '.join(map(repr, record.choices))}, or {letters[0]} to {letters[-1]}",
        )
    return letters.index(record.correct)


def _span(record: Record, text: str, answer: str, *, first: bool) -> Span:
    if not answer.strip():
        raise DataError("answers: one is blank", accepted="words of the passage; [] for no answer")
    start = record.start if first and record.start is not None else _place(text, answer)
    if start < 0 or not text.startswith(answer, start):
        where = f"at character {start}" if start >= 0 else "in the passage"
        raise DataError(f"answer {answer[:60]!r} does not stand {where}")
    return Span(start, start + len(answer))


def _place(text: str, answer: str) -> int:
    """Where an answer first stands without being a part of a word or a number, or else where it first stands at all.

    -1: nowhere.
    """
    first = at = text.find(answer)
    while at >= 0 and (_is_within(text, at) or _is_within(text, at + len(answer))):
        at = text.find(answer, at + 1)
    return first if at < 0 else at


def _is_within(text: str, at: int) -> bool:
    """Whether the characters before and after a place belong to one word or number."""
    sides = text[max(at - 1, 0) : at + 1]
    return (len(sides) == 2 and all(map(_is_spaced, sides))) or _IN_NUMBER.match(text, at) is not None


def _is_spaced(character: str) -> bool:
    """Whether it is a digit or a letter with two cases: scripts that have these put spaces between words."""
    return character.isdecimal() or character.lower() != character.upper()
