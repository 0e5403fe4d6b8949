"""Questions whose answers are given by their place in a document."""

import json
from pathlib import Path

import pytest

from ragqa import data
from ragqa.errors import DataError
from ragqa.types import Passage

GOOD = {"question": "When?", "answers": ["May"], "document": "lease.md", "start": 14, "end": 17}


def stored(folder: Path, *records: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_the_place_is_the_positive_passage_and_more_fields_are_passed_over(tmp_path: Path) -> None:
    quoted = {"question": "Who?", "answers": ["Ann"], "document": "lease.md", "quote": "Ann pays."}
    nothing: dict[str, object] = {
        "question": "Why?",
        "answers": [],
        "document": None,
        "start": None,
        "quote": None,
        "id": "n",
    }
    by_place, by_quote, unanswerable = data.read_to_judge(
        stored(tmp_path, {**GOOD, "split": "test"}, quoted, nothing)
    )
    assert by_place.positives == (Passage("lease.md", 14, 17, "May"),)
    assert by_quote.positives == (Passage("lease.md", 0, 0, "Ann pays."),)
    assert (unanswerable.positives, unanswerable.answers, unanswerable.query.id) == ((), (), "n")


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({**GOOD, "document": None}, "document: is missing"),
        ({**GOOD, "start": None}, "start, end: are missing"),
        ({**GOOD, "question": " "}, "question: is blank"),
        ({**GOOD, "start": -1}, "start = -1; accepted: greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(
    tmp_path: Path, record: dict[str, object], named: str
) -> None:
    path = stored(tmp_path, GOOD, record)
    with pytest.raises(DataError, match=f"line 2: {named}"):
        data.read_to_judge(path)
    said: list[str] = []
    assert len(data.read_to_judge(path, on_bad=lambda fault: said.append(str(fault)))) == 1
    assert len(said) == 1


def test_the_projects_own_questions_are_of_this_form() -> None:
    path = Path(__file__).parents[1] / "kb_questions.jsonl"
    found = data.read_to_judge(path)
    assert len(found) == len(path.read_text(encoding="utf-8").splitlines())
    assert sum(not example.answers for example in found) >= 50


def test_nothing_can_be_trained_on_places_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="end: Extra inputs"):
        data.read(stored(tmp_path, GOOD))
