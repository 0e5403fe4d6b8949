"""Labelled questions → ``Example``; one file per format, ``read`` tells them apart."""

import json
from pathlib import Path

from ragqa.data import jsonl, squad
from ragqa.data.faults import OnBad, refuse
from ragqa.errors import DataError
from ragqa.types import Example

ACCEPTED = 'JSON Lines with "question", "passage" and "answers", or JSON in the form of SQuAD'


def read(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """The questions of a file in any format that a reader can be trained on, told by its content.

    Raises:
        DataError: no such file, another format, or no question in it; a bad record, unless ``on_bad`` accepts it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            first = next((line for line in file if line.strip()), "")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise DataError(f"{path} cannot be read: {reason}", accepted=ACCEPTED) from fault
    if not first:
        raise DataError(f"{path} is empty", accepted=ACCEPTED)
    examples = jsonl.load(path, on_bad) if _is_record(first) else squad.load(path, on_bad)
    if not examples:
        raise DataError(f"{path} holds no usable question", accepted=ACCEPTED)
    return examples


def _is_record(line: str) -> bool:
    """Whether a whole record stands on the line; the first line of SQuAD's JSON is all of it, or a bracket."""
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and "data" not in value
