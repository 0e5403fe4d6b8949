"""CommonsenseQA (Talmor et al. 2019), one JSON object a line → examples with options and no passage."""

import json
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, field, refuse
from ragqa.data.lines import load_lines
from ragqa.errors import DataError
from ragqa.types import Example, Query

ACCEPTED = '{"id", "question": {"stem", "choices": [{"label", "text"}]}, "answerKey"}'


def load(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question of the file, in its order.

    Args:
        on_bad: is told of each line that does not fit, by number and reason; such a line is left out.

    Raises:
        DataError: the file cannot be read, or a bad line, unless ``on_bad`` accepts it.
    """
    return load_lines(path, _example, on_bad)


def is_record(value: dict[str, Any]) -> bool:
    """Whether a line belongs to this format."""
    return isinstance(value.get("question"), dict) and "choices" in value["question"]


def _example(line: str, number: int) -> Example:
    try:
        record = json.loads(line)
        question = record["question"]
        labels = [str(choice["label"]) for choice in question["choices"]]
        if record["answerKey"] not in labels:
            raise ValueError(f"the answer {record['answerKey']!r} is none of the choices {', '.join(labels)}")
        choices = tuple(field(choice, "text", str) for choice in question["choices"])
        query = Query(field(question, "stem", str).strip(), id=str(record["id"]), choices=choices)
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(f"{type(fault).__name__}: {fault}", accepted=ACCEPTED) from None
    return Example(query, choice=labels.index(record["answerKey"]))
