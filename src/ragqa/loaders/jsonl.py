"""JSON Lines of records ``{"_id" or "id", "title", "text"}``, as BEIR corpora are: one document each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragqa.decoding import clean, open_text
from ragqa.errors import DocumentError
from ragqa.paths import readable
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".jsonl", ".ndjson")

ACCEPTED = 'one JSON object a line with a "text" and, if it has them, "_id" and "title"'


def load(path: Path, doc_id: str) -> Iterator[Document | DocumentError]:
    """One document for each record, named ``doc_id#record``; a record without an id takes its line number.

    A line that is no such record, or repeats an id, is a fault of its own.
    """
    seen: set[str] = set()
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = _record(line, number)
            except DocumentError as fault:
                yield fault
                continue
            given = next((record[key] for key in ("_id", "id") if record.get(key) is not None), number)
            name = clean(str(given)).replace("\n", " ")
            if name in seen:
                yield DocumentError(
                    f"has the id {name!r} twice, again in line {number}",
                    next_step="give each record its own id",
                )
                continue
            seen.add(name)
            yield _document(record, f"{doc_id}#{name}", path)


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "nested too deep, or too long a number"
        raise DocumentError(f"line {number} is not JSON ({reason})", accepted=ACCEPTED) from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DocumentError(f'line {number} is no object with a "text" string', accepted=ACCEPTED)
    return record


def _document(record: dict[str, Any], doc_id: str, path: Path) -> Document:
    title = record.get("title")
    title = " ".join(clean(title).split()) if isinstance(title, str) else ""
    text = clean(record["text"]).strip("\n")
    if not text.strip():  # what is only a title is still something to find
        title, text = "", title
    return Document(id=doc_id, text=text, title=title, source=readable(path))
