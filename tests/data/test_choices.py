"""Questions with options: ragqa's own form, CommonsenseQA and RACE, and options made from passages."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ragqa import data
from ragqa.data import squad
from ragqa.errors import DataError
from ragqa.evaluation.answers import answer_tokens
from ragqa.training.options import with_options
from ragqa.types import Example, Passage, Query, Span

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[3] / "shared" / "data"))

OWN = {"question": "When?", "choices": ["May", "June", "July"], "correct": "June"}


def stored(folder: Path, *records: Any) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_the_right_choice_is_named_by_its_words_or_its_letter(tmp_path: Path) -> None:
    passage = {"passage": "The lease ends in June.", "answers": ["June"]}
    found = data.read(stored(tmp_path, OWN, {**OWN, "correct": "B"}, {**OWN, **passage}))
    assert [(e.query.choices, e.choice) for e in found] == [(("May", "June", "July"), 1)] * 3
    assert [len(e.positives) for e in found] == [0, 0, 1]
    assert found[2].answers == ("June",)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({**OWN, "correct": "August"}, "'August' is none of the choices"),
        ({**OWN, "correct": "D"}, "'D' is none of the choices"),
        ({**OWN, "correct": None}, "None is none of the choices"),
        ({**OWN, "choices": ["May"]}, "choices: 1 different ones"),
        ({**OWN, "choices": ["May", "May", "June"]}, "choices: 2 different ones"),
        ({"question": "When?"}, "passage: Field required"),
        ({"question": "When?", "passage": "In May."}, "answers: Field required"),
    ],
)
def test_a_record_that_does_not_fit_is_named(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    faults: list[DataError] = []
    found = data.read(stored(tmp_path, OWN, record), on_bad=faults.append)
    assert len(found) == 1
    (fault,) = faults
    assert said in fault.found
    assert "line 2" in fault.found


def test_commonsenseqa_is_told_by_its_content(tmp_path: Path) -> None:
    question = {"stem": "Where is it? ", "choices": [{"label": x, "text": f"place {x}"} for x in "ABCDE"]}
    good = {"id": "q1", "answerKey": "C", "question": question}
    faults: list[DataError] = []
    (found,) = data.read(stored(tmp_path, good, {**good, "answerKey": "F"}), on_bad=faults.append)
    assert (found.query.text, found.query.id, found.choice) == ("Where is it?", "q1", 2)
    assert found.query.choices[2] == "place C"
    assert "line 2: ValueError: the answer 'F' is none of the choices A, B, C, D, E" in faults[0].found


def test_an_article_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    record = {"article": "It is red.", "questions": ["What?"], "options": [["red", "blue"]], "answers": ["A"]}
    (tmp_path / "1.txt").write_text(json.dumps(record), encoding="utf-8-sig")
    (example,) = data.read(tmp_path)
    assert example.query.text == "What?"


def test_a_folder_of_mere_text_is_not_taken_for_race(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The lease ends in May.")
    with pytest.raises(DataError, match="holds no questions"):
        data.read(tmp_path)


def test_race_is_a_folder_of_articles(tmp_path: Path) -> None:
    article = {
        "id": "middle1.txt",
        "article": "The lease ends in June.",
        "questions": ["When does it end?", "What ends?"],
        "options": [["May", "June", "July", "August"], ["the lease", "the rent", "the year", "the day"]],
        "answers": ["B", "A"],
    }
    (tmp_path / "middle").mkdir()
    (tmp_path / "middle" / "1.txt").write_text(json.dumps(article), encoding="utf-8")
    bad = {**article, "answers": ["E", "A"]}
    (tmp_path / "middle" / "2.txt").write_text(json.dumps(bad), encoding="utf-8")
    (tmp_path / "middle" / "3.txt").write_text(json.dumps({**article, "answers": ["A"]}), encoding="utf-8")
    faults: list[DataError] = []
    found = data.read(tmp_path, on_bad=faults.append)
    assert [(e.query.id, e.choice) for e in found] == [
        ("middle/1.txt#0", 1),
        ("middle/1.txt#1", 0),
        ("middle/2.txt#1", 0),
    ]
    assert {e.positives[0].text for e in found} == {"The lease ends in June."}
    of_question, of_file = (fault.found for fault in faults)
    assert "2.txt question 0: ValueError: the answer 'E' is none of 4 options" in of_question
    assert "3.txt: ValueError: zip()" in of_file
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no questions"):
        data.read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"answers": [None, "A"]}, "question 0: TypeError"),
        ({"answers": ["AB", "A"]}, "question 0: TypeError"),
        ({"options": [None, ["x", "y"]]}, "question 0: TypeError"),
        ({"options": [["a", None], ["x", "y"]]}, "question 0: TypeError: B is null, not text"),
        ({"questions": [None, "Who?"]}, "question 0: TypeError: question is null, not text"),
    ],
)
def test_one_bad_question_of_an_article_does_not_take_the_others_with_it(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    good = {"article": "It is red.", "questions": ["What?", "Who?"], "options": [["a", "b"], ["x", "y"]]}
    (tmp_path / "1.txt").write_text(json.dumps({**good, "answers": ["B", "A"], **wrong}), encoding="utf-8")
    faults: list[DataError] = []
    assert [e.query.id for e in data.read(tmp_path, on_bad=faults.append)] == ["1.txt#1"]
    assert [said in fault.found for fault in faults] == [True]
    with pytest.raises(DataError, match="question 0"):
        data.read(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}")
def test_commonsenseqa_has_its_published_number_of_questions() -> None:
    found = data.read(DATA / "commonsenseqa" / "dev_rand_split.jsonl")
    assert len(found) == 1221
    assert {len(e.query.choices) for e in found} == {5}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}")
def test_options_from_squad_hold_the_answer_once_and_stand_in_the_passage() -> None:
    examples = squad.load(DATA / "squad" / "dev-v1.1.json")[:500]
    found = list(with_options(examples, 4, seed=1))
    assert len(found) > 450
    places = [e.choice for e in found]
    assert all(80 < places.count(letter) < 160 for letter in range(4))
    for example in found:
        assert example.choice is not None
        options = example.query.choices
        assert options[example.choice] == example.answers[0]
        assert len(set(options)) == 4
        right = set(answer_tokens(example.answers[0]))
        for place, option in enumerate(options):
            assert option in example.positives[0].text
            if place != example.choice:
                assert not right <= set(answer_tokens(option))
    assert found == list(with_options(examples, 4, seed=1))
    assert [e for e in with_options(examples[1:], 4, seed=1) if e.query.id == found[5].query.id] == [found[5]]


def test_a_chinese_question_gets_phrases_of_its_passage() -> None:
    text = "租约于1949年5月在北京签订，由房东承担维修费用。租客每月支付房租，押金为两个月的租金。"
    passage = Passage("lease", 0, len(text), text)
    asked = [
        Example(Query(question, question), (answer,), (passage,), (Span(text.index(answer), 0),))
        for question, answer in (("租约在哪里签订？", "北京"), ("租约哪年签订？", "1949年"))
    ]
    found = list(with_options(asked, 4, seed=1))
    assert len(found) == 2
    for example in found:
        assert len(set(example.query.choices)) == 4
        assert all(option in text and len(option) > 1 for option in example.query.choices)
    assert "5月" in found[1].query.choices  # of its own kind first


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}")
def test_nearly_all_chinese_questions_get_options() -> None:
    examples = squad.load(DATA / "cmrc2018" / "dev.json", lambda _: None)[:300]
    assert len(list(with_options(examples, 4, seed=1))) > 280
