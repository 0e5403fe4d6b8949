"""The question set beside kb/: every gold answer stands where its record says, in the loaded text.

After a change of kb/ or of a loader, ``python tests/test_kb_questions.py`` moves offsets and pages to where the quotes
stand now, and names the questions whose quote is gone.
"""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ragqa.loaders import load_document_file
from ragqa.types import Document

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT / "tests" / "kb_questions.jsonl"

Record = dict[str, Any]


def _records() -> list[Record]:
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


RECORDS = _records()
ANSWERABLE = [record for record in RECORDS if record["answers"]]


@cache
def _documents() -> dict[str, Document]:
    files = sorted(path for path in (ROOT / "kb").rglob("*") if path.is_file())
    read = (load_document_file(path, path.relative_to(ROOT).as_posix()) for path in files)
    return {document.id: document for documents in read for document in documents}


def _text_of(record: Record) -> str:
    document = _documents().get(record["document"])
    assert document is not None, f"{record['id']}: kb/ has no document {record['document']}"
    return document.text


def test_the_set_covers_both_languages_and_questions_without_an_answer() -> None:
    languages = Counter(record["language"] for record in ANSWERABLE)
    unanswerable = Counter(record["language"] for record in RECORDS if not record["answers"])

    assert len(RECORDS) >= 200
    assert languages["en"] >= 120
    assert languages["zh"] >= 45
    assert unanswerable.total() >= 55
    assert unanswerable["zh"] >= 8
    assert set(languages) == {"en", "zh"}


def test_ids_and_questions_are_unique() -> None:
    assert len({record["id"] for record in RECORDS}) == len(RECORDS)
    assert len({record["question"] for record in RECORDS}) == len(RECORDS)


def test_a_third_is_for_tuning_and_each_kind_is_in_both_splits() -> None:
    kinds = {"tune": set[tuple[str, bool]](), "test": set[tuple[str, bool]]()}
    for place, record in enumerate(RECORDS):
        assert record["split"] == ("tune" if place % 3 == 0 else "test")
        kinds[record["split"]].add((record["language"], bool(record["answers"])))

    assert kinds["tune"] == kinds["test"] == {("en", True), ("en", False), ("zh", True), ("zh", False)}


@pytest.mark.parametrize("record", ANSWERABLE, ids=lambda record: record["id"])
def test_the_gold_answer_stands_at_its_offsets(record: Record) -> None:
    text = _text_of(record)
    start, end = record["start"], record["end"]

    assert text[start:end] == record["answers"][0]
    assert all(answer in text for answer in record["answers"])
    assert record["quote"] in text
    assert record["answers"][0] in record["quote"]
    # The quote is the one around the span, not a twin of it elsewhere.
    assert any(
        place <= start and end <= place + len(record["quote"])
        for place in range(max(0, end - len(record["quote"])), start + 1)
        if text.startswith(record["quote"], place)
    )


def test_answers_are_short() -> None:
    for record in ANSWERABLE:
        shortest = min(record["answers"], key=len)
        assert len(shortest) <= 20 if record["language"] == "zh" else len(shortest.split()) <= 12, record[
            "id"
        ]


def test_chinese_answers_stand_in_one_sentence() -> None:
    for record in ANSWERABLE:
        if record["language"] == "zh":
            assert not set("。！？\n") & set(record["quote"].rstrip("。！？")), record["id"]


def test_pages_agree_with_the_loaders() -> None:
    assert sum(record["page"] is not None for record in ANSWERABLE) >= 20
    for record in ANSWERABLE:
        assert record["page"] == _documents()[record["document"]].page_at(record["start"]), record["id"]


def test_unanswerable_questions_name_no_document() -> None:
    for record in RECORDS:
        if not record["answers"]:
            assert all(record[key] is None for key in ("document", "quote", "start", "end", "page")), record[
                "id"
            ]


def test_every_file_of_kb_is_asked_about() -> None:
    asked = {str(record["document"]).partition("#")[0] for record in ANSWERABLE}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kb").rglob("*") if path.is_file()}

    assert asked == files


def test_no_document_contains_a_question_of_the_set() -> None:
    texts = [document.text for document in _documents().values()]
    found = [record["id"] for record in RECORDS if any(record["question"] in text for text in texts)]

    assert found == []


def moved(record: Record) -> Record | None:
    """The record at the place of its quote that is nearest to the old one; None when the quote is gone."""
    text, quote = _text_of(record), record["quote"]
    within = quote.index(record["answers"][0])
    starts = [match.start() + within for match in re.finditer(re.escape(quote), text)]
    if not starts:
        return None
    start = min(starts, key=lambda place: abs(place - record["start"]))
    page = _documents()[record["document"]].page_at(start)
    return {**record, "start": start, "end": start + len(record["answers"][0]), "page": page}


def main() -> None:
    found = {record["id"]: moved(record) if record["answers"] else record for record in RECORDS}
    lines = [json.dumps(found[r["id"]] or r, ensure_ascii=False) + "\n" for r in RECORDS]
    QUESTIONS.write_text("".join(lines), encoding="utf-8")
    gone = [name for name, record in found.items() if record is None]
    print(f"quote not found: {', '.join(gone)}" if gone else "every quote was found")


if __name__ == "__main__":
    main()
