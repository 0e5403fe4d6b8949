"""Labelled questions → ``Example``; one file per format, ``read`` tells them apart."""

import json
from collections.abc import Sequence
from pathlib import Path

from ragqa.data import beir, jsonl, squad
from ragqa.data.faults import OnBad, refuse
from ragqa.errors import DataError
from ragqa.types import Example, Passage

ACCEPTED = 'JSON Lines with "question", "passage" and "answers", JSON in the form of SQuAD, or a BEIR folder'


def read(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """The questions of a file in any format, told by its content; a folder is one in the form of BEIR.

    Raises:
        DataError: no such file, another format, or no question in it; a bad record, unless ``on_bad`` accepts it.
    """
    if path.is_dir():
        return beir.examples(path)
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


def corpus(path: Path, examples: Sequence[Example]) -> list[Passage]:
    """Every passage that a question of ``path`` could be answered from: a BEIR folder's own, else the examples'."""
    if path.is_dir():
        return [beir.whole_passage(document) for document in beir.documents(path)]
    return distinct_passages(examples)


def distinct_passages(examples: Sequence[Example]) -> list[Passage]:
    """Every passage of the examples once, in the order of first appearance."""
    seen = {p.id: p for e in examples for p in (*e.positives, *e.hard_negatives)}
    return list(seen.values())


def _is_record(line: str) -> bool:
    """Whether a whole record stands on the line; the first line of SQuAD's JSON is all of it, or a bracket."""
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and "data" not in value
