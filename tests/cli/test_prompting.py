"""Prompts on the command line: templates side by side, worked examples, answers that fit a JSON Schema."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def writes(told: Path, talk: Any) -> list[str]:
    """Options that ask the tiny language model about its documents."""
    return ["--index", str(told), "--set", "reader.name=generative", "--set", f"reader.model={talk.model}"]


@pytest.fixture
def labelled(talk: Any, tmp_path: Path) -> Path:
    """Its questions with passage and answer."""
    rows = []
    for question, answer in talk.answers.items():
        text = next(t for t in talk.documents.values() if answer in t)
        rows.append({"id": question, "question": question, "passage": text, "answers": [answer]})
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_templates_are_compared_on_the_same_questions(
    ragqa: Any, writes: list[str], labelled: Path, tmp_path: Path
) -> None:
    mute = tmp_path / "mute.jinja"
    mute.write_text("{{ question }} {{ passages | fenced }} {{ not_here }}", encoding="utf-8")
    command = ["eval", "prompts", "--data", str(labelled), "--output", str(tmp_path / "out")]
    done = ragqa(*command, "--prompt", "zero_shot", "--prompt", str(mute), *writes)
    assert done.code == 0, done.err
    head, zero, other, *_ = done.out.splitlines()
    assert head.split()[:4] == ["exact", "match", "F1", "right"]
    assert zero.split()[1] == "1.000"  # learned by heart in this very prompt
    assert float(other.split()[2]) < 1
    assert "p = " in other
    assert "p = " not in zero
    records = [
        json.loads(line)
        for line in (tmp_path / "out" / "mute" / "per_question.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    mean = sum(record["prompt tokens"] for record in records) / len(records)
    assert other.split()[4] == f"{mean:.0f}"
    assert mean < float(zero.split()[4])


def test_every_template_is_checked_before_a_question_is_asked(
    ragqa: Any, writes: list[str], labelled: Path, tmp_path: Path
) -> None:
    command = ["eval", "prompts", "--data", str(labelled), "--output", str(tmp_path / "out")]
    done = ragqa(*command, "--prompt", "zero_shot", "--prompt", "zero_shoot", *writes)
    assert done.code == 2
    assert "there is no prompt 'zero_shoot'" in done.err
    assert not (tmp_path / "out").exists()


def test_worked_examples_are_counted_and_never_the_question_itself(
    ragqa: Any, writes: list[str], labelled: Path, talk: Any
) -> None:
    english = [
        question for question in talk.answers if question.isascii()
    ]  # others are no examples for these
    question = english[0]
    asked = ["ask", question, "--shots", "64", "--examples", str(labelled), "--json", "--explain"]
    done = ragqa(*asked, *writes, "--set", "reader.max_prompt_tokens=900")
    assert done.code in (0, 3), done.err
    told = json.loads(done.out)["explain"]["reader"]
    assert told["examples"] == len(english) - 1
    assert told["examples_left_out"] == 0


def test_an_answer_that_fits_no_schema_is_told_and_is_no_refusal(
    ragqa: Any, writes: list[str], tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}', encoding="utf-8")
    done = ragqa("ask", "Who designed the Orchard Bridge?", "--schema", str(schema), *writes)
    assert done.code == 1
    assert "not valid after one repair" in done.out
    done = ragqa(
        "ask", "Who designed the Orchard Bridge?", "--schema", str(schema), *writes, "--stream", "--json"
    )
    assert json.loads(done.out.splitlines()[-1])["outcome"] == "failed"
    schema.write_text('{"type": "obj"}', encoding="utf-8")
    done = ragqa("ask", "Who?", "--schema", str(schema), *writes)
    assert done.code == 2
    assert "accepted: a JSON Schema" in done.err


def test_a_reader_that_only_quotes_takes_no_prompt(ragqa: Any, told: Path) -> None:
    done = ragqa("ask", "Who?", "--reader", "extractive", "--prompt", "zero_shot", "--index", str(told))
    assert done.code == 2
    assert "--prompt with --reader extractive; accepted: auto or generative" in done.err


def test_the_shipped_generator_says_that_it_follows_no_prompt(ragqa: Any, told: Path) -> None:
    done = ragqa("ask", "Who?", "--prompt", "few_shot", "--index", str(told))
    assert done.code == 2
    assert "follows no prompt" in done.err


def test_in_a_conversation_such_an_answer_is_told_and_not_kept(
    ragqa: Any, writes: list[str], tmp_path: Path
) -> None:
    """As a refusal it could be judged /good, and would teach that the documents do not answer."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}', encoding="utf-8")
    folder = tmp_path / "talks"
    chat = ["chat", "--folder", str(folder), "--conversation", "one", "--set", f"reader.schema={schema}"]
    done = ragqa(*chat, *writes, stdin="Who designed the Orchard Bridge?\n/good\n")
    assert "not valid after one repair" in done.err
    kept = folder / "one.jsonl"
    assert not kept.exists() or not kept.read_text(encoding="utf-8").strip()
    assert not list(folder.glob("*feedback*"))


def test_a_prompt_goes_to_the_reader_that_a_setting_names(ragqa: Any, told: Path, talk: Any) -> None:
    chosen = ("--set", "reader.name=auto", "--set", f"reader.generative.model={talk.model}")
    asked = ("ask", "Who designed the Orchard Bridge?", "--prompt", "zero_shot", "--json", "--explain")
    done = ragqa(*asked, "--index", str(told), *chosen)
    assert done.code == 0, done.err
    assert json.loads(done.out)["explain"]["reader"]["generated"] == "Maria Keller"
