"""Multiple choice as instructions, with the options inside the text → examples without a passage.

    [{"instruction": "Please choose the correct answer to the question: … Answer1: … Answer2: …", "answer": "answer2"}]

ARC (Clark et al. 2018) and OpenBookQA (Mihaylov et al. 2018) are passed around in this form.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, refuse, whole
from ragqa.errors import DataError
from ragqa.types import Example, Query

ACCEPTED = '{"instruction": "… question: … Answer1: … Answer2: … Answer format: …", "answer": "answer1"}'

_WHOLE = re.compile(r"^.*?question:\s*(.+?)\s+Answer1:\s*(.+?)(?:\s+Answer format:.*)?$", re.DOTALL)
_NEXT = re.compile(r"\s+Answer\d+:\s*")


def is_text(first_line: str) -> bool:
    """Whether a file that begins so may be of this form: one JSON array."""
    return first_line.lstrip().startswith("[")


def load(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question of the file, in its order.

    Args:
        on_bad: is told of each record that does not fit, by number and reason; such a record is left out.

    Raises:
        DataError: the file is no JSON array, or a bad record, unless ``on_bad`` accepts it.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as fault:
        raise DataError(f"{path} is no JSON ({fault})", accepted=f"a JSON array of {ACCEPTED}") from fault
    if records and isinstance(records[0], dict) and "question" in records[0]:
        raise DataError(
            f"{path} is one JSON array",
            accepted="one record a line",
            next_step=f"jq -c '.[]' {shlex.quote(str(path))} > {shlex.quote(f'{path.stem}_lines.jsonl')}",
        )
    found = []
    for number, record in enumerate(records, 1):
        try:
            found.append(whole(_example(record, f"{path.parent.name} {path.stem} {number}")))
        except (ValueError, KeyError, TypeError) as fault:
            reason = f"{path} record {number}: {type(fault).__name__}: {fault}"
            on_bad(DataError(reason, accepted=ACCEPTED))
        except DataError as fault:
            on_bad(DataError(f"{path} record {number}: {fault.found}", accepted=fault.accepted))
    return found


def _example(record: dict[str, Any], name: str) -> Example:
    parts = _WHOLE.match(record["instruction"])
    if parts is None:
        raise ValueError("the instruction holds no question with answers")
    choices = tuple(_NEXT.split(parts[2]))
    if len(choices) < 2 or len(set(choices)) < len(choices):
        raise ValueError(f"{len(set(choices))} different options, two or more are needed, each once")
    labels = [f"answer{place}" for place in range(1, len(choices) + 1)]
    if record["answer"] not in labels:
        raise ValueError(f"the answer {record['answer']!r} is none of {', '.join(labels)}")
    return Example(Query(parts[1], id=name, choices=choices), choice=labels.index(record["answer"]))
