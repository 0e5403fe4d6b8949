"""SQuAD-form JSON → examples, on hand-written files and on the published ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from ragqa.data.squad import load
from ragqa.errors import DataError

CONTEXT = "The cat 🐈 sat on the mat. 检索增强生成在2020年提出。"


def question(text: str, *quotes: str, context: str = CONTEXT, **more: Any) -> dict[str, Any]:
    answers = [{"text": q, "answer_start": context.index(q)} for q in quotes]
    return {"id": f"id {text}", "question": text, "answers": answers, **more}


def article(title: str | None, *paragraphs: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"title": title, "paragraphs": [{"context": text, "qas": qas} for text, qas in paragraphs]}


def stored(folder: Path, *articles: dict[str, Any]) -> Path:
    path = folder / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": articles}, ensure_ascii=False), encoding="utf-8")
    return path


def test_spans_are_the_answers(tmp_path: Path) -> None:
    path = stored(
        tmp_path,
        article("A_cat", (CONTEXT, [question(" Where? ", "the mat", "mat"), question("何时", "2020年")])),
    )
    where, when = load(path)
    assert (where.query.text, where.query.id) == ("Where?", "id  Where? ")
    for example, answers in ((where, ("the mat", "mat")), (when, ("2020年",))):
        assert example.answers == answers
        (passage,) = example.positives
        assert (passage.doc_id, passage.title, passage.text) == ("A_cat", "A cat", CONTEXT)
        assert tuple(passage.text[s.start : s.end] for s in example.spans) == answers


def test_passages_of_an_article_have_places_of_their_own(tmp_path: Path) -> None:
    qas = [question("Where?", "the mat")]
    path = stored(tmp_path, article("A", (CONTEXT, qas), (CONTEXT, qas)), article("B", (CONTEXT, qas)))
    ids = [e.positives[0].id for e in load(path)]
    assert len(set(ids)) == 3
    first, second, _ = (e.positives[0] for e in load(path))
    assert first.end <= second.start


def test_articles_of_one_title_are_one_document_and_share_no_place(tmp_path: Path) -> None:
    texts = "The first door is green.", "The second door is blue."
    assert len(texts[0]) == len(texts[1])
    first, second = load(
        stored(tmp_path, *(article("Manual", (t, [question("Which?", "door", context=t)])) for t in texts))
    )
    assert (first.positives[0].doc_id, second.positives[0].doc_id) == ("Manual", "Manual")
    assert first.positives[0].id != second.positives[0].id


def test_an_article_without_a_title_is_a_document_of_its_own_and_shows_none(tmp_path: Path) -> None:
    qas = [question("Where?", "the mat")]
    nameless = article("", (CONTEXT, qas))
    del nameless["title"]
    titled = [article(title, (CONTEXT, qas)) for title in ("A", None, " ")]
    found = [e.positives[0] for e in load(stored(tmp_path, *titled, nameless))]
    assert [p.doc_id for p in found] == ["A", "article 2", "article 3", "article 4"]
    assert [p.title for p in found] == ["A", "", "", ""]


def test_an_impossible_question_keeps_its_paragraph_as_a_negative(tmp_path: Path) -> None:
    (example,) = load(
        stored(tmp_path, article("A", (CONTEXT, [question("Why?", "cat", is_impossible=True)])))
    )
    assert (example.answers, example.positives, example.spans) == ((), (), ())
    assert [p.text for p in example.hard_negatives] == [CONTEXT]


def test_a_misplaced_answer_is_named(tmp_path: Path) -> None:
    qa = question("Where?", "the mat")
    qa["answers"][0]["answer_start"] += 1
    with pytest.raises(DataError, match=r"id Where\?.*'the mat'.*character"):
        load(stored(tmp_path, article("A", (CONTEXT, [qa]))))


@pytest.mark.parametrize("blank", [{"text": "", "answer_start": -1}, {"text": None}, {"text": " \n"}])
def test_a_blank_answer_is_none(tmp_path: Path, blank: dict[str, Any]) -> None:
    mixed = question("Where?", "the mat")
    mixed["answers"].insert(0, blank)
    nothing = {"id": "none", "question": "Why?", "answers": [blank]}
    some, none = load(stored(tmp_path, article("A", (CONTEXT, [mixed, nothing]))))
    assert (some.answers, len(some.spans)) == (("the mat",), 1)
    assert (none.answers, none.positives, none.spans) == ((), (), ())
    assert [p.text for p in none.hard_negatives] == [CONTEXT]


@pytest.mark.parametrize("answers", [[], [{"text": "", "answer_start": -1}]])
def test_a_question_that_is_called_possible_and_has_no_answer_is_named(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    qa = {"id": "7", "question": "Why?", "is_impossible": False, "answers": answers}
    with pytest.raises(DataError, match="question 7: is_impossible is false, but no answer has words"):
        load(stored(tmp_path, article("A", (CONTEXT, [qa]))))


def test_characters_are_not_counted_from_the_end(tmp_path: Path) -> None:
    qa = {"id": "7", "question": "When?", "answers": [{"text": "2020", "answer_start": -8}]}
    assert CONTEXT[-8:-4] == "2020"
    with pytest.raises(DataError, match="question 7: answer '2020' does not stand at character -8"):
        load(stored(tmp_path, article("A", (CONTEXT, [qa]))))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"context": None, "qas": []}, "article 'A_cat' paragraph 2: TypeError: context is null, not text"),
        ({"context": CONTEXT}, "article 'A_cat' paragraph 2: KeyError: 'qas'"),
        ({"context": CONTEXT, "qas": {}}, "article 'A_cat' paragraph 2: TypeError: qas is {}, not a list"),
        (5, "article 'A_cat' paragraph 2: TypeError"),
    ],
)
def test_a_bad_paragraph_is_named_and_the_others_are_read(tmp_path: Path, bad: Any, said: str) -> None:
    whole = article("A_cat", (CONTEXT, [question("Where?", "the mat")]), (CONTEXT, [question("Who?")]))
    whole["paragraphs"].insert(1, bad)
    faults: list[DataError] = []
    path = stored(tmp_path, whole)
    assert [e.query.text for e in load(path, on_bad=faults.append)] == ["Where?", "Who?"]
    (fault,) = faults
    assert said in str(fault)
    assert "\n" not in str(fault)
    with pytest.raises(DataError, match=r"^article 'A_cat' paragraph 2"):
        load(path)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"title": "B"}, "article 2: KeyError: 'paragraphs'"),
        ({"title": "B", "paragraphs": None}, "article 2: TypeError: paragraphs is null, not a list"),
        (5, "article 2: TypeError"),
    ],
)
def test_a_bad_article_is_named_and_the_others_are_read(tmp_path: Path, bad: Any, said: str) -> None:
    good = article("A", (CONTEXT, [question("Where?", "the mat")]))
    faults: list[DataError] = []
    assert len(load(stored(tmp_path, good, bad, good), on_bad=faults.append)) == 2
    assert [said in str(fault) for fault in faults] == [True]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"data": 5}',
        '{"data": [5]}',
        '{"data": [{"title": "A"}]}',
        '{"data": [{"paragraphs": [{"context": "x"}]}]}',
        '{"data": [{"paragraphs": [{"context": 7, "qas": []}]}]}',
        b"\xff\xfe\x00",
    ],
)
def test_another_form_is_refused_with_the_form_that_is_read(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    with pytest.raises(DataError, match=r"other\.json is not SQuAD JSON") as caught:
        load(path)
    assert "paragraphs" in caught.value.accepted
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"id": "7"}, "question 7: KeyError: 'question'"),
        ({"id": "7", "question": None, "answers": []}, "question 7: TypeError: question is null, not text"),
        ({"question": "?", "answers": []}, "question None: KeyError: 'id'"),
        ({"id": "7", "question": "?", "answers": [7]}, "question 7: TypeError"),
        ({"id": "7", "question": "?", "answers": [{"text": "x", "answer_start": "one"}]}, "7: ValueError"),
        (5, "question 5: TypeError"),
    ],
)
def test_a_question_that_lacks_something_is_named_and_the_others_are_read(
    tmp_path: Path, bad: Any, said: str
) -> None:
    path = stored(tmp_path, article("A", (CONTEXT, [question("Where?", "the mat"), bad])))
    faults: list[DataError] = []
    assert [e.query.text for e in load(path, on_bad=faults.append)] == ["Where?"]
    (fault,) = faults
    assert said in str(fault)
    with pytest.raises(DataError, match=said.split(":")[0]):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        load(tmp_path / "nowhere.json")


def test_a_bad_question_can_be_left_out(tmp_path: Path) -> None:
    bad = question("Bad?", "the mat")
    bad["answers"][0]["answer_start"] += 1
    faults: list[DataError] = []
    path = stored(
        tmp_path, article("A", (CONTEXT, [question("Where?", "the mat"), bad, question("Who?", "The cat")]))
    )
    assert [e.query.text for e in load(path, on_bad=faults.append)] == ["Where?", "Who?"]
    assert ["id Bad?" in str(fault) for fault in faults] == [True]


@pytest.mark.parametrize(
    ("name", "questions", "misplaced"), [("squad/dev-v1.1.json", 10570, 0), ("cmrc2018/dev.json", 3219, 176)]
)
def test_published_files_are_read_whole(data: Path, name: str, questions: int, misplaced: int) -> None:
    bad: list[DataError] = []
    examples = load(data / name, on_bad=bad.append)
    assert len(examples) + len(bad) == questions
    assert len(bad) == misplaced  # CMRC places some answers at character -1
    for example in examples:
        assert example.spans
        for answer, span in zip(example.answers, example.spans, strict=True):
            assert example.positives[0].text[span.start : span.end] == answer
