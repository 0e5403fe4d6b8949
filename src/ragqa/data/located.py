"""Questions about an index: each answer by its document and the characters at which it stands.

    {"question": "When does the lease end?", "answers": ["May"], "document": "leases/17.md", "start": 318, "end": 321}

``answers`` is empty for a question that the documents do not answer. Instead of ``start`` and ``end`` there may be a
``quote``, which stands once in the document. Other fields are passed over.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ragqa.data.faults import OnBad, refuse
from ragqa.data.lines import load_lines, record
from ragqa.errors import DataError
from ragqa.types import Example, Passage, Query


class Record(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str = Field(min_length=1)
    answers: tuple[str, ...]
    document: str | None = None
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, ge=0)
    quote: str | None = None
    id: str | None = None


def is_file(path: Path) -> bool:
    """Whether the first line is of this form: it names a document and brings no text of it."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            record = json.loads(next((line for line in lines if line.strip()), ""))
    except (OSError, ValueError):
        return False
    keys = record.keys() if isinstance(record, dict) else set()
    return {"question", "answers", "document"} <= keys and "passage" not in keys


def load(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question of the file, in its order; the place of its answer is the one positive passage.

    Raises:
        DataError: the file cannot be read, or a bad line, unless ``on_bad`` accepts it.
    """
    return load_lines(path, lambda line, number: _example(record(Record, line), number), on_bad)


def _example(record: Record, number: int) -> Example:
    query = Query(record.question.strip(), id=record.id or f"line {number}")
    if not query.text:
        raise DataError("question: is blank")
    if not record.answers:
        return Example(query)
    if record.document is None:
        raise DataError(
            "document: is missing", accepted="the document that answers; answers: [] where none does"
        )
    if record.start is not None and record.end is not None:
        place = Passage(record.document, record.start, record.end, record.answers[0])
    elif record.quote:
        place = Passage(record.document, 0, 0, record.quote)
    else:
        raise DataError("start, end: are missing", accepted="start and end, or a quote")
    return Example(query, record.answers, positives=(place,))
