"""Half of a character pair, as a cut emoji leaves it in JSON: named in every format, before a tokenizer meets it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragqa import data
from ragqa.data import jsonl
from ragqa.errors import DataError

HALF = "Is it \ud83d"
"""What becomes of "Is it 🐈" where a program cuts it after seven units of UTF-16."""


def squad(folder: Path, question: str, text: str) -> Path:
    def asked(name: str, words: str) -> dict[str, Any]:
        return {"id": name, "question": words, "answers": [{"text": "red", "answer_start": 0}]}

    paragraphs = [
        {"context": "red, as ever.", "qas": [asked("good", "What?")]},
        {"context": f"red {text}", "qas": [asked("bad", question)]},
    ]
    path = folder / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": paragraphs}]}))
    return path


def squad_title(folder: Path) -> Path:
    path = squad(folder, "What?", "")
    whole = json.loads(path.read_text())
    good, bad = whole["data"][0]["paragraphs"]
    articles = [{"title": "T", "paragraphs": [good]}, {"title": HALF, "paragraphs": [bad]}]
    path.write_text(json.dumps({"data": articles}))
    return path


def commonsenseqa(folder: Path, question: str, choice: str) -> Path:
    def line(name: str, stem: str, text: str) -> str:
        choices = [{"label": "A", "text": "a shop"}, {"label": "B", "text": text}]
        return json.dumps({"id": name, "answerKey": "A", "question": {"stem": stem, "choices": choices}})

    path = folder / "questions.jsonl"
    path.write_text(f"{line('good', 'Where?', 'home')}\n{line('bad', question, choice)}\n")
    return path


def instructions(folder: Path) -> Path:
    told = "Choose the answer to the question: {} Answer1: red Answer2: blue"
    records = [{"instruction": told.format(asked), "answer": "answer1"} for asked in (HALF, "What is it?")]
    path = folder / "train.json"
    path.write_text(json.dumps(records))
    return path


def race(folder: Path) -> Path:
    article = {"article": "It is red.", "questions": ["What?", HALF], "options": [["a", "b"]] * 2}
    (folder / "1.txt").write_text(json.dumps({**article, "answers": ["A", "B"]}))
    return folder


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "It is red."}\n')
    queries = [{"_id": "good", "text": "What?"}, {"_id": "bad", "text": HALF}]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    for split in ("train", "test"):
        (folder / "qrels" / f"{split}.tsv").write_text("good\td\t1\nbad\td\t1\n")
    return folder


def own(folder: Path, **field: Any) -> Path:
    good = {"question": "What?", "passage": "It is red.", "answers": ["red"]}
    path = folder / "own.jsonl"
    path.write_text(f"{json.dumps(good)}\n{json.dumps({**good, **field})}\n")
    return path


@pytest.mark.parametrize(
    ("write", "named"),
    [
        pytest.param(lambda folder: squad(folder, HALF, ""), "question 'bad'", id="a question of SQuAD"),
        pytest.param(lambda folder: squad(folder, "What?", HALF), "question 'bad'", id="a passage of SQuAD"),
        pytest.param(squad_title, "question 'bad'", id="a title of SQuAD"),
        pytest.param(
            lambda folder: commonsenseqa(folder, HALF, "work"),
            "question 'bad'",
            id="a question of CommonsenseQA",
        ),
        pytest.param(
            lambda folder: commonsenseqa(folder, "When?", HALF),
            "question 'bad'",
            id="a choice of CommonsenseQA",
        ),
        pytest.param(instructions, "train 1'", id="an instruction"),
        pytest.param(race, "question '1.txt#1'", id="a question of RACE"),
        pytest.param(beir, "question 'bad'", id="a question of BEIR"),
    ],
)
def test_the_question_is_named_and_the_others_are_read(
    tmp_path: Path, write: Callable[[Path], Path], named: str
) -> None:
    path = write(tmp_path)
    faults: list[DataError] = []
    (example,) = data.read(path, faults.append)
    (fault,) = faults
    assert named in fault.found
    assert r"holds half of a character pair: 'Is it \ud83d'" in fault.found.replace("'red ", "'")
    str(fault).encode()
    with pytest.raises(DataError, match="half of a character pair"):
        data.read(path)
    assert example.query.text in ("What?", "What is it?", "Where?")


def test_questions_of_beir_are_named_to_whoever_asks_for_them(tmp_path: Path) -> None:
    path = beir(tmp_path)
    faults: list[DataError] = []
    assert len(data.read_to_judge(path, faults.append)) == 1
    assert [len(part) for part in data.read_to_fit(path, faults.append)] == [1, 1]
    assert len(faults) == 3


@pytest.mark.parametrize(
    "field", [{"question": HALF}, {"passage": HALF}, {"title": HALF}, {"negatives": [HALF]}, {"id": HALF}]
)
def test_our_own_lines_are_named_by_their_number(tmp_path: Path, field: dict[str, Any]) -> None:
    faults: list[DataError] = []
    assert len(jsonl.load(own(tmp_path, **field), faults.append)) == 1
    assert ["own.jsonl line 2: " in fault.found for fault in faults] == [True]
    str(faults[0]).encode()


def test_both_halves_are_a_character(tmp_path: Path) -> None:
    (_, example) = data.read(squad(tmp_path, "Is it \ud83d\udc08?", ""))
    assert example.query.text == "Is it 🐈?"


def test_a_file_name_that_is_no_text_is_none_of_the_questions(tmp_path: Path) -> None:
    race(tmp_path)
    try:
        (tmp_path / "1.txt").rename(tmp_path / "caf\udce9.txt")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes no such name")
    faults: list[DataError] = []
    (example,) = data.read(tmp_path, faults.append)
    assert example.query.id == r"caf\xe9.txt#0"
