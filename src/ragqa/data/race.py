"""RACE (Lai et al. 2017): a folder of articles, each a JSON file with its questions → examples with four options.

The data are for research only: nothing that ships may be trained on them.
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, field, refuse, whole
from ragqa.errors import DataError
from ragqa.paths import readable
from ragqa.types import Example, Passage, Query

ACCEPTED = 'files "*.txt" of {"id", "article", "questions", "options", "answers"}'


def load(folder: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question below the folder, article by article in the order of their names; the article is the passage.

    Args:
        on_bad: is told of each file and of each question that does not fit, with the reason; it is left out.

    Raises:
        DataError: a file or a question that does not fit, unless ``on_bad`` accepts it; or no question is left.
    """
    examples = [
        example
        for path in articles(folder)
        for example in _examples(path, readable(path.relative_to(folder)), on_bad)
    ]
    if not examples:
        raise DataError(f"{folder} holds no usable question", accepted=ACCEPTED)
    return examples


def articles(folder: Path) -> list[Path]:
    """The files below a folder that may be in this form, by name; none where they all are mere text."""
    found = sorted(folder.rglob("*.txt"))
    return found if any(_holds_an_object(path) for path in found) else []


def _holds_an_object(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(100).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")
    except OSError:
        return False


def _examples(path: Path, name: str, on_bad: OnBad) -> Iterator[Example]:
    try:
        passage, asked = _article(json.loads(path.read_text(encoding="utf-8-sig")), name)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        on_bad(DataError(f"{path}: {type(fault).__name__}: {fault}", accepted=ACCEPTED))
        return
    for number, (question, options, answer) in enumerate(asked):
        try:
            example = whole(_example(question, options, answer, f"{name}#{number}", passage))
        except (ValueError, TypeError) as fault:
            reason = f"{path} question {number}: {type(fault).__name__}: {fault}"
            on_bad(DataError(reason, accepted=ACCEPTED))
        except DataError as fault:
            on_bad(DataError(f"{path}: {fault.found}", accepted=fault.accepted))
        else:
            yield example


def _article(record: dict[str, Any], name: str) -> tuple[Passage, list[tuple[Any, Any, Any]]]:
    """The passage, and each question with its options and the letter of the right one."""
    text = field(record, "article", str)
    asked = zip(record["questions"], record["options"], record["answers"], strict=True)
    return Passage(name, 0, len(text), text), list(asked)


def _example(question: Any, options: Any, answer: Any, name: str, passage: Passage) -> Example:
    choice = ord(str(answer)) - ord("A")
    if not 0 <= choice < len(options):
        raise ValueError(f"the answer {answer!r} is none of {len(options)} options")
    named = {"question": question, **{chr(ord("A") + n): option for n, option in enumerate(options)}}
    asked, *choices = (field(named, one, str) for one in named)
    query = Query(asked.strip(), id=name, choices=tuple(choices))
    return Example(query, positives=(passage,), choice=choice)
