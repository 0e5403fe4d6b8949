"""Questions about an index: each answer by its document and the characters at which it stands.

    {"question": "When does the lease end?", "answers": ["May"], "document": "leases/17.md", "start": 318, "end": 321}

``answers`` is empty for a question that the documents do not answer. Instead of ``start`` and ``end`` there may be a
``quote``, which stands once in the document. Other fields are passed over.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragqa.data.faults import OnBad, refuse
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
        with path.open(encoding="utf-8") as lines:
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
    found = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        found.append(_example(line, number))
                    except DataError as fault:
                        on_bad(DataError(f"{path} line {number}: {fault.found}", accepted=fault.accepted))
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read: {fault}", accepted="UTF-8 JSON Lines") from fault
    return found


def _example(line: str, number: int) -> Example:
    try:
        record = Record.model_validate(json.loads(line))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise DataError(f"{where}: {first['msg']}", accepted=", ".join(Record.model_fields)) from None
    except ValueError as fault:
        raise DataError(f"is no JSON object ({fault})", accepted="one JSON object a line") from None
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
