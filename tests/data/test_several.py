"""Questions of several files, read as one set."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragqa import data
from ragqa.errors import ConfigError, DataError
from ragqa.training.run_files import load_run
from ragqa.training.settings import ReaderRun

LEASE = "The lease ends in May. Rent is due on the first day."


def stored(path: Path, passages: Sequence[str], document: str = "lease") -> Path:
    records = [
        {
            "question": f"What stands in text {n}?",
            "passage": text,
            "answers": [text[:3]],
            "document": document,
        }
        for n, text in enumerate(passages)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_documents_of_one_name_stay_one_and_no_two_texts_share_a_place(tmp_path: Path) -> None:
    first = stored(tmp_path / "first.jsonl", [LEASE, "Pets are allowed."])
    second = stored(tmp_path / "second.jsonl", ["Smoking is not allowed.", LEASE])
    found = [e.positives[0] for e in data.read_all([first, second], None, 13)]
    assert {p.doc_id for p in found} == {"lease"}
    assert found[0] == found[3]
    assert len({p.id for p in found}) == len({p.text for p in found}) == 3


def test_a_sample_is_drawn_from_each_file_and_keeps_its_order(tmp_path: Path) -> None:
    paths = [
        stored(
            tmp_path / f"{n}.jsonl", [f"{t} letters in text {n}." for t in range(40)], document=f"text {n}"
        )
        for n in range(2)
    ]
    found = data.read_all(paths, 10, 13)
    drawn = [
        [int(e.query.id.removeprefix("line ")) for e in found if e.positives[0].doc_id == f"text {n}"]
        for n in range(2)
    ]
    assert [len(rows) for rows in drawn] == [10, 10]
    assert all(rows == sorted(rows) for rows in drawn)
    assert found == data.read_all(paths, 10, 13) != data.read_all(paths, 10, 14)
    assert len(data.read_all(paths, 100, 13)) == 80
    assert data.read_all(paths, [40, 10], 13)[40:] == found[10:]


def test_a_bad_file_among_good_ones_is_named(tmp_path: Path) -> None:
    good = stored(tmp_path / "good.jsonl", [LEASE])
    with pytest.raises(DataError, match=r"absent\.jsonl"):
        data.read_all([good, tmp_path / "absent.jsonl"], None, 13)


def test_numbers_that_do_not_match_the_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: [a.jsonl, b.jsonl]\nmax_questions: [3]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="max_questions has 1 numbers for 2 files"):
        load_run(path, ReaderRun)


def test_folders_that_share_document_ids_keep_every_text_apart(tmp_path: Path) -> None:
    folders = []
    for name, text in (
        ("a", "Lift grows with speed."),
        ("b", "Rent is due in May, and the lease ends in June."),
    ):
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True)
        other = {"_id": "2", "title": "", "text": f"Another text of {name}."}
        corpus = [{"_id": "1", "title": "", "text": text}, other]
        query = {"_id": name, "text": f"What does {name} say?"}
        (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in corpus))
        (folder / "queries.jsonl").write_text(json.dumps(query) + "\n")
        (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{name}\t1\t1\n")
        folders.append(folder)
    examples = data.read_all(folders, None, 13)
    corpus_passages = data.corpus(folders, examples)
    assert len({p.id for p in corpus_passages}) == len({p.text for p in corpus_passages}) == 4
    assert {e.positives[0] for e in examples} <= set(corpus_passages)
