"""ragqa's own JSON Lines, and telling it from SQuAD's form."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa import data
from ragqa.data import jsonl
from ragqa.errors import DataError

LEASE = "The lease ends in May. Rent is due on the first day of May."


def stored(folder: Path, *records: dict[str, Any] | str) -> Path:
    path = folder / "questions.jsonl"
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lease(**more: Any) -> dict[str, Any]:
    return {"question": "When does the lease end?", "passage": LEASE, "answers": ["May"], **more}


def test_the_span_is_where_the_answer_stands(tmp_path: Path) -> None:
    first, second = jsonl.load(
        stored(tmp_path, lease(), lease(start=55, document="contract 17", title="Rent"))
    )
    assert [(s.start, s.end) for s in first.spans] == [(18, 21)]
    assert [(s.start, s.end) for s in second.spans] == [(55, 58)]
    assert (second.positives[0].doc_id, second.positives[0].title) == ("contract 17", "Rent")
    assert (first.query.id, second.query.id) == ("line 1", "line 2")


@pytest.mark.parametrize(
    ("passage", "answer", "start"),
    [
        ("In 2015, 5 people came.", "5", 9),
        ("The party is part of it.", "part", 13),
        ("A cart, an art.", "art", 11),
        ("In 3.5 of 1,500 years 500 people, 3 of them, came.", "500", 22),
        ("In 3.5 of 1,500 years 500 people, 3 of them, came.", "3", 34),
        ("It may end in May.", "May", 14),
        ("The lease ends in 2015.", "5", 21),  # a part of a number, where it stands nowhere else
        ("2015年有5人来了。", "5", 6),
        ("检索增强生成提出，检索。", "检索", 0),
        ("中文RAG系统，RAG。", "RAG", 2),
        ("第5章，5人。", "5", 1),
        ("トヨタは車を作る。トヨタ。", "トヨタ", 0),
        ("서울은 크다. 서울.", "서울", 0),
    ],
)
def test_an_answer_stands_at_its_first_place_that_is_no_part_of_a_word_or_a_number(
    tmp_path: Path, passage: str, answer: str, start: int
) -> None:
    (example,) = jsonl.load(stored(tmp_path, lease(passage=passage, answers=[answer])))
    assert (example.spans[0].start, example.answers) == (start, (answer,))


def test_a_start_that_is_given_may_lie_in_a_word(tmp_path: Path) -> None:
    (example,) = jsonl.load(
        stored(tmp_path, lease(passage="In 2015, 5 people came.", answers=["5"], start=6))
    )
    assert example.spans[0].start == 6


def test_without_answers_the_passage_is_a_negative(tmp_path: Path) -> None:
    (example,) = jsonl.load(stored(tmp_path, lease(answers=[], negatives=["Another text."])))
    assert (example.answers, example.positives, example.spans) == ((), (), ())
    assert [p.text for p in example.hard_negatives] == [LEASE, "Another text."]


def test_equal_passages_are_one_and_unlike_ones_of_a_document_have_places_of_their_own(
    tmp_path: Path,
) -> None:
    other = "It ends in June. Rent is due on the first day of each month"
    assert len(other) == len(LEASE)
    records = [lease(document="d"), lease(document="d"), lease(document="d", passage=other, answers=["June"])]
    one, same, another = (e.positives[0] for e in jsonl.load(stored(tmp_path, *records)))
    assert one.id == same.id
    assert one.id != another.id
    unnamed = [e.positives[0] for e in jsonl.load(stored(tmp_path, lease(), lease()))]
    assert unnamed[0].doc_id == unnamed[1].doc_id


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (lease(question=""), "question: "),
        (lease(question="  "), "question: is blank"),
        (lease(answers=["June"]), "answer 'June' does not stand in the passage"),
        (lease(start=3), "answer 'May' does not stand at character 3"),
        (lease(answers=[" "]), "answers: one is blank"),
        (lease(answer="May"), "answer: "),
        (
            lease(also=[{"passage": "May.", "share": 0.6}, {"passage": "In May.", "share": 0.4}]),
            "also: the shares are 1 together",
        ),
        (
            lease(answers=[], also=[{"passage": "May."}]),
            "also: other passages answer, but there are no answers",
        ),
        (lease(negatives=["Never.", LEASE]), "negatives: one is the passage"),
        (
            lease(also=[{"passage": "In May."}], negatives=["In May."]),
            "negatives: one is a passage of also",
        ),
        ({"question": "Why?"}, "passage: "),
        ("[1, 2]", "is no JSON object (a value of another kind)"),
        ("{", "is no JSON object"),
    ],
)
def test_a_bad_line_is_named_with_its_reason_and_the_others_are_kept(
    tmp_path: Path, record: dict[str, Any] | str, found: str
) -> None:
    path = stored(tmp_path, lease(), record, lease())
    said: list[DataError] = []
    assert len(jsonl.load(path, said.append)) == 2
    (fault,) = said
    assert fault.found.startswith(f"{path} line 2: {found}")
    assert "\n" not in str(fault)
    with pytest.raises(DataError, match="line 2"):
        jsonl.load(path)


@given(st.text(min_size=1).filter(str.strip), st.data())
def test_any_part_of_any_passage_can_be_an_answer(
    tmp_path_factory: pytest.TempPathFactory, text: str, draw: Any
) -> None:
    start = draw.draw(st.integers(0, len(text) - 1))
    end = draw.draw(st.integers(start + 1, len(text)))
    if not text[start:end].strip():
        return
    record = {"question": "?", "passage": text, "answers": [text[start:end]], "start": start}
    (example,) = jsonl.load(stored(tmp_path_factory.mktemp("any"), record))
    assert text[example.spans[0].start : example.spans[0].end] == example.answers[0] == text[start:end]


def test_the_schema_describes_the_fields() -> None:
    described = jsonl.schema()
    assert set(described["required"]) == {"question"}
    assert described["anyOf"] == [{"required": ["passage", "answers"]}, {"required": ["choices", "correct"]}]
    assert all("description" in field for field in described["properties"].values())


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    assert data.read(stored(tmp_path, lease()))[0].answers == ("May",)
    squad = {"data": [{"title": "T", "paragraphs": [{"context": LEASE, "qas": []}]}]}
    qa = {"id": "1", "question": "When?", "answers": [{"text": "May", "answer_start": 18}]}
    squad["data"][0]["paragraphs"][0]["qas"].append(qa)  # type: ignore[index]
    for indent in (None, 1):
        path = tmp_path / "squad.json"
        path.write_text(json.dumps(squad, indent=indent), encoding="utf-8")
        assert data.read(path)[0].query.id == "1"


def test_a_bad_first_line_is_named_as_any_other_and_a_mark_in_front_is_none(tmp_path: Path) -> None:
    good = json.dumps(lease())
    path = tmp_path / "mine.jsonl"
    path.write_text(f'\ufeff{{"question": \n{good}\n{good}\n', encoding="utf-8")
    faults: list[Exception] = []
    assert len(data.read(path, faults.append)) == 2
    assert ["line 1: is no JSON object" in str(fault) for fault in faults] == [True]
    path.write_text(f"\ufeff{good}\n", encoding="utf-8")
    assert data.read(path)[0].answers == ("May",)
    squad = {"data": [{"title": "T", "paragraphs": [{"context": LEASE, "qas": []}]}]}
    squad["data"][0]["paragraphs"][0]["qas"].append(  # type: ignore[index]
        {"id": "1", "question": "When?", "answers": [{"text": "May", "answer_start": 18}]}
    )
    path.write_text("\ufeff" + json.dumps(squad), encoding="utf-8")
    assert data.read(path)[0].query.id == "1"


@pytest.mark.parametrize("text", ["", "\n\n", "question;answer\n", "[]", '{"data": []}'])
def test_a_file_without_questions_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        data.read(path)
    assert str(path) in caught.value.found
    assert "\n" not in str(caught.value)


def test_a_negative_is_the_passage_of_another_file_also_where_that_answers_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    silent = {
        "question": "Who pays?",
        "passage": "The lease ends in May.",
        "answers": [],
        "document": "lease",
    }
    named = {
        "question": "Where?",
        "passage": "In a harbour.",
        "answers": ["harbour"],
        "document": "town",
        "negatives": [silent["passage"], "Nobody knows."],
    }
    first.write_text(json.dumps(named), encoding="utf-8")
    second.write_text(json.dumps(silent), encoding="utf-8")
    asked, other = data.read_all([first, second], None, seed=0)
    assert [p.doc_id for p in asked.hard_negatives] == ["lease", "town (negatives)"]
    assert asked.hard_negatives[0] == other.hard_negatives[0]
