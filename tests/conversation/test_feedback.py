"""/good and /bad become labelled questions that training reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from ragqa.conversation.exchange import Exchange, exchange
from ragqa.conversation.feedback import feedback, keep, labelled
from ragqa.conversation.markdown import as_markdown
from ragqa.data import jsonl
from ragqa.errors import DataError
from ragqa.types import Answer, Citation, Hit, Passage, Rewritten

TEXT = "May is warm. The lease ends in May."
PASSAGE = Passage("lease.md", 100, 100 + len(TEXT), TEXT, "Lease › End")


def answered(text: str | None = "May", asked: str = "When does it end?") -> Exchange:
    start = 100 + TEXT.rindex("May")
    cited = (Citation("lease.md", start, start + 3, "May", 2),) if text else ()
    answer = Answer(text, 0.9, cited, (Hit(PASSAGE, 1.0),), sentence="The lease ends in May.")
    return exchange(asked, Rewritten("When does the lease end?", "'it' is 'the lease'"), answer)


def read_back(folder: Path) -> list[Any]:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in labelled(folder)), encoding="utf-8")
    return jsonl.load(path)


def test_a_good_answer_is_a_labelled_question_at_its_place(tmp_path: Path) -> None:
    keep(tmp_path, feedback("good", answered(), "lease"))
    (example,) = read_back(tmp_path)
    assert example.query.text == "When does the lease end?"
    assert example.answers == ("May",)
    assert example.positives[0].text == TEXT
    assert example.positives[0].title == "Lease › End"
    assert example.spans[0].start == TEXT.rindex("May")


def test_a_good_refusal_is_a_question_that_the_passage_does_not_answer(tmp_path: Path) -> None:
    keep(tmp_path, feedback("good", answered(None), "lease"))
    (example,) = read_back(tmp_path)
    assert example.answers == ()
    assert example.hard_negatives[0].text == TEXT


def test_a_bad_answer_is_labelled_where_the_right_one_is_told_and_stands_there(tmp_path: Path) -> None:
    assert feedback("bad", answered(), "lease").example is None
    assert feedback("bad", answered(), "lease", "June").example is None
    assert feedback("bad", answered(), "lease", "June").correct == "June"
    keep(tmp_path, feedback("bad", answered("May"), "lease", "The lease"))
    (example,) = read_back(tmp_path)
    assert example.answers == ("The lease",)


def test_the_last_verdict_on_an_answer_counts(tmp_path: Path) -> None:
    one, other = answered(), answered(asked="And when?")
    for verdict, judged in (("good", one), ("good", other), ("bad", one)):
        keep(tmp_path, feedback("good" if verdict == "good" else "bad", judged, "lease"))
    assert len(read_back(tmp_path)) == 1


def test_broken_feedback_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(labelled(tmp_path))
    (tmp_path / "feedback.jsonl").write_text('{"verdict": "fine"}\n')
    with pytest.raises(DataError, match="line 1: verdict"):
        list(labelled(tmp_path))


def test_markdown_shows_question_answer_and_source_and_reads_no_mark_out_of_them() -> None:
    shown = as_markdown("my *lease*", [answered(), answered(None, "Why?\n# not a heading \x1b[2J")])
    assert shown.startswith("# my \\*lease\\*\n\n## When does it end?\n")
    assert "*Understood as: When does the lease end?*" in shown
    assert "**May** (confidence 0.90)" in shown
    assert "> The lease ends in May." in shown
    assert "- lease.md, page 2, characters 131–134" in shown
    assert "Not in these documents." in shown
    assert "\n# not" not in shown
    assert "\x1b" not in shown
