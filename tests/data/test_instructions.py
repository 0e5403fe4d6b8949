"""Options inside an instruction, as ARC and OpenBookQA go around."""

import json
import os
from pathlib import Path

import pytest

from ragqa.data import read
from ragqa.errors import DataError

ASKED = (
    "Please choose the correct answer to the question: Why is the sky blue? It is:\n\n"
    "Answer1: air scatters blue Answer2: the sea, as Answer 3 says Answer3: paint\n\n"
    "Answer format: answer1/answer2/answer3"
)


def written(folder: Path, *records: object) -> Path:
    path = folder / "train.json"
    path.write_text(json.dumps(records, indent=4), encoding="utf-8")
    return path


def test_question_and_options_are_taken_apart(tmp_path: Path) -> None:
    (example,) = read(written(tmp_path, {"instruction": ASKED, "answer": "answer3"}))
    assert example.query.text == "Why is the sky blue? It is:"
    assert example.query.choices == ("air scatters blue", "the sea, as Answer 3 says", "paint")
    assert example.choice == 2


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"instruction": ASKED, "answer": "answer4"}, "'answer4' is none of answer1, answer2, answer3"),
        (
            {"instruction": ASKED.replace("paint", "air scatters blue"), "answer": "answer1"},
            "2 different options",
        ),
        ({"instruction": "Tell a joke.", "answer": "answer1"}, "no question with answers"),
        ({"answer": "answer1"}, "instruction"),
        ("no record", "record 2: TypeError"),
    ],
)
def test_a_bad_record_is_named_and_the_others_are_read(tmp_path: Path, record: object, says: str) -> None:
    path = written(tmp_path, {"instruction": ASKED, "answer": "answer1"}, record)
    faults: list[DataError] = []
    assert len(read(path, faults.append)) == 1
    assert [says in str(fault) for fault in faults] == [True]
    with pytest.raises(DataError, match="record 2"):
        read(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('[{"instruction": ', encoding="utf-8")
    with pytest.raises(DataError, match="is no JSON"):
        read(path)


def test_an_array_of_our_own_records_is_told_from_instructions(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"question": "When?", "passage": "In May.", "answers": ["May"]}]))
    with pytest.raises(DataError, match=r"mine.json is one JSON array; accepted: one record a line; try: jq"):
        read(path)


def test_every_published_question_is_understood() -> None:
    folder = Path(os.environ.get("RAGQA_DATA", "../shared/data")) / "arc_obqa"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set RAGQA_DATA")
    doubled: list[DataError] = []  # three questions of OpenBookQA have an option twice
    found = {
        name: read(folder / name / "train.json", doubled.append)
        for name in ("ARC-Easy", "ARC-Challenge", "openbookqa")
    }
    assert len(doubled) == 3
    assert {name: len(examples) for name, examples in found.items()} == {
        "ARC-Easy": 2251,
        "ARC-Challenge": 1119,
        "openbookqa": 4954,
    }
    for examples in found.values():
        assert all(3 <= len(e.query.choices) <= 5 for e in examples)
        assert len({e.query.id for e in examples}) == len(examples)
