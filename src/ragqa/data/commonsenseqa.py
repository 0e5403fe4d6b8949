"""CommonsenseQA (Talmor et al. 2019), one JSON object a line → examples with options and no passage."""

import json
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, refuse
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
    examples = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        examples.append(_example(json.loads(line)))
                    except (ValueError, KeyError, TypeError) as fault:
                        reason = f"{type(fault).__name__}: {fault}"
                        on_bad(DataError(f"{path} line {number}: {reason}", accepted=ACCEPTED))
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read: {fault}", accepted="UTF-8 JSON Lines") from fault
    return examples


def is_record(value: dict[str, Any]) -> bool:
    """Whether a line belongs to this format."""
    return isinstance(value.get("question"), dict) and "choices" in value["question"]


def _example(record: dict[str, Any]) -> Example:
    question = record["question"]
    labels = [str(choice["label"]) for choice in question["choices"]]
    if record["answerKey"] not in labels:
        raise ValueError(f"the answer {record['answerKey']!r} is none of the choices {', '.join(labels)}")
    choices = tuple(str(choice["text"]) for choice in question["choices"])
    query = Query(str(question["stem"]).strip(), id=str(record["id"]), choices=choices)
    return Example(query, choice=labels.index(record["answerKey"]))
