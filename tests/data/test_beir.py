"""BEIR folders: real ones, and lines that do not fit."""

import os
from pathlib import Path

import pytest

from ragqa.data.beir import load, whole_passage
from ragqa.errors import DataError

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": "Tea", "text": "Green tea."}\n\n{"_id": "d2", "title": "", "text": "水稻"}\n'
    )
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "q2", "text": "second"}\n{"_id": "q1", "text": "first"}\n'
    )
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    return tmp_path


def test_a_folder_is_read_as_it_stands(folder: Path) -> None:
    collection = load(folder)
    assert [(d.id, d.title, d.text) for d in collection.documents] == [
        ("d1", "Tea", "Green tea."),
        ("d2", "", "水稻"),
    ]
    assert [(q.id, q.text) for q in collection.queries] == [("q1", "first")]
    assert collection.qrels == {"q1": {"d1": 2, "d2": 0}}


def test_a_document_becomes_one_passage_with_its_title(folder: Path) -> None:
    document = load(folder).documents[0]
    passage = whole_passage(document)
    assert document.text[passage.start : passage.end] == passage.text
    assert passage.titled_text == "Tea\nGreen tea."


def test_judgements_without_a_heading_line_lose_nothing(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    assert load(folder).qrels == {"q1": {"d1": 1}}


def test_a_byte_order_mark_in_front_of_any_file_is_none_of_its_text(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    collection = load(folder)
    assert [d.id for d in collection.documents] == ["d1", "d2"]
    assert collection.qrels == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "ok"}\nnot json\n', "line 2"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "'text'"),
        ("corpus.jsonl", '["d1"]\n', "line 1"),
        ("corpus.jsonl", '{"_id": "d1", "text": null}\n', "line 1: TypeError: text is null, not text"),
        ("queries.jsonl", '{"_id": "q1", "text": null}\n', "line 1: TypeError: text is null, not text"),
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "ok"}\n{"_id": "d2", "text": "a \\ud83d"}\n',
            r"corpus.jsonl line 2: document 'd2' holds half of a character pair: 'a \\ud83d'",
        ),
        ("queries.jsonl", '{"_id": "q9", "text": "other"}\n', "'q1'"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", "line 2"),
        ("qrels/test.tsv", "q1\td1\tgood\n", "line 1"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, name: str, content: str, named: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=named):
        load(folder)


def test_a_missing_split_or_a_file_of_another_encoding_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"train\.tsv"):
        load(folder, "train")
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "1", "text": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"corpus\.jsonl"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "split", "documents", "queries"),
    [("scifact", "test", 5183, 300), ("scifact", "train", 5183, 809), ("cranfield", "test", 1400, 225)],
)
def test_the_real_sets_have_their_published_sizes(
    name: str, split: str, documents: int, queries: int
) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"no data set at {DATA / name} (set RAGQA_DATA)")
    collection = load(DATA / name, split)
    assert (len(collection.documents), len(collection.queries)) == (documents, queries)
    known = {document.id for document in collection.documents}
    judged = {document for grades in collection.qrels.values() for document in grades}
    assert len(judged & known) >= 0.99 * len(judged)
