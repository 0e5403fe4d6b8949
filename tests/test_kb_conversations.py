"""The conversations beside kb/: every gold answer stands where its record says, in the loaded text."""

import json
from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from ragqa.loaders import load_document_file

ROOT = Path(__file__).resolve().parents[1]
CONVERSATIONS = ROOT / "tests" / "kb_conversations.jsonl"
KINDS = {"first", "pronoun", "ellipsis", "comparison", "why", "switch", "independent"}

Record = dict[str, Any]
RECORDS: list[Record] = [json.loads(line) for line in CONVERSATIONS.read_text(encoding="utf-8").splitlines()]
BY_CONVERSATION = {
    name: list(turns) for name, turns in groupby(RECORDS, key=lambda r: str(r["conversation"]))
}


@cache
def _texts() -> dict[str, str]:
    files = sorted(path for path in (ROOT / "kb").rglob("*") if path.is_file())
    read = (load_document_file(path, path.relative_to(ROOT).as_posix()) for path in files)
    return {document.id: document.text for documents in read for document in documents}


def test_the_set_is_large_enough_in_both_languages() -> None:
    assert len(BY_CONVERSATION) >= 80
    assert len(RECORDS) >= 300
    assert Counter(r["language"] for r in RECORDS)["zh"] >= 60


def test_turns_are_numbered_and_begin_with_a_complete_question() -> None:
    assert sum(len(turns) for turns in BY_CONVERSATION.values()) == len(RECORDS)
    for name, turns in BY_CONVERSATION.items():
        assert [t["turn"] for t in turns] == list(range(1, len(turns) + 1)), name
        assert len(turns) >= 3, name
        assert [t["kind"] == "first" for t in turns] == [True, *[False] * (len(turns) - 1)], name
        assert len({t["language"] for t in turns}) == 1


def test_half_of_the_conversations_are_for_tuning_and_each_is_on_one_side() -> None:
    for language in ("en", "zh"):
        mine = [turns for turns in BY_CONVERSATION.values() if turns[0]["language"] == language]
        assert all(len({t["split"] for t in turns}) == 1 for turns in mine)
        splits = Counter(turns[0]["split"] for turns in mine)
        assert abs(splits["tune"] - splits["test"]) <= 1


def test_every_kind_of_follow_up_is_on_both_sides() -> None:
    for split in ("tune", "test"):
        assert {r["kind"] for r in RECORDS if r["split"] == split} == KINDS


def test_a_question_is_asked_once() -> None:
    counts = Counter(r["standalone"] for r in RECORDS)
    assert [question for question, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_the_gold_answer_stands_in_its_quote_and_the_quote_once_in_its_document(record: Record) -> None:
    text = _texts()[record["document"]]
    assert text.count(record["quote"]) == 1
    assert record["answers"]
    assert all(answer in record["quote"] for answer in record["answers"])
