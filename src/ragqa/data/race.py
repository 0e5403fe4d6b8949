"""RACE (Lai et al. 2017): a folder of articles, each a JSON file with its questions → examples with four options.

The data are for research only: nothing that ships may be trained on them.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, refuse
from ragqa.errors import DataError
from ragqa.types import Example, Passage, Query

ACCEPTED = 'files "*.txt" of {"id", "article", "questions", "options", "answers"}'


def load(folder: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question below the folder, article by article in the order of their names; the article is the passage.

    Args:
        on_bad: is told of each file that does not fit, by name and reason; such a file is left out.

    Raises:
        DataError: a file that does not fit, unless ``on_bad`` accepts it; or there is no article.
    """
    examples: list[Example] = []
    for path in articles(folder):
        try:
            examples += _examples(
                json.loads(path.read_text(encoding="utf-8-sig")), path.relative_to(folder).as_posix()
            )
        except (OSError, ValueError, KeyError, TypeError) as fault:
            on_bad(DataError(f"{path}: {type(fault).__name__}: {fault}", accepted=ACCEPTED))
    if not examples:
        raise DataError(f"{folder} holds no article", accepted=ACCEPTED)
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


def _examples(record: dict[str, Any], name: str) -> list[Example]:
    text = str(record["article"])
    passage = Passage(name, 0, len(text), text)
    found = []
    for number, (question, options, answer) in enumerate(
        zip(record["questions"], record["options"], record["answers"], strict=True)
    ):
        choice = ord(str(answer)) - ord("A")
        if not 0 <= choice < len(options):
            raise ValueError(f"question {number}: the answer {answer!r} is none of {len(options)} options")
        query = Query(str(question).strip(), id=f"{name}#{number}", choices=tuple(map(str, options)))
        found.append(Example(query, positives=(passage,), choice=choice))
    return found
