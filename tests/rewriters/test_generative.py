"""A language model that rewrites questions: what is heeded, and what the rules are asked for instead."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from ragqa.drafts import Draft
from ragqa.errors import ConfigError
from ragqa.prompting import NOT_HERE
from ragqa.rewriters.generative import GenerativeRewriter
from ragqa.rewriters.rules import RulesRewriter
from ragqa.types import Passage, Rewritten, Turn

HISTORY = [
    Turn("Who proposed LoRA?", "Who proposed LoRA?", "Edward Hu"),
    Turn("When?", "When was LoRA proposed?", "June 2021"),
]
ZH = [Turn("谁提出了LoRA？", "谁提出了LoRA？", "爱德华·胡")]


class Scripted:
    """Writes one text, and keeps the passages it was given."""

    def __init__(self, text: str) -> None:
        self.text, self.given = text, list[Sequence[Passage]]()

    def write(self, questions: Sequence[str], passages: Sequence[Sequence[Passage]], **_: Any) -> list[Draft]:
        self.given += passages
        return [Draft(self.text, math.log(0.9), tuple(passages[0]), 0, is_cut=False)]


def rewritten(
    monkeypatch: pytest.MonkeyPatch, written: str, question: str, history: Sequence[Turn] = HISTORY
) -> Rewritten:
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: Scripted(written))
    return GenerativeRewriter(model="builtin").rewrite(history, question)


@pytest.mark.parametrize(
    ("question", "written", "history"),
    [
        ("What is its learning rate?", "What is the learning rate of LoRA?", HISTORY),
        ("What is its learning rate?", "What learning rate does Edward Hu's LoRA have?", HISTORY),
        ("And in 2022?", "Was LoRA proposed in 2022?", HISTORY),
        ("它的学习率是多少？", "LoRA的学习率是多少？", ZH),
    ],
)
def test_what_keeps_the_question_and_names_what_was_said_is_heeded(
    monkeypatch: pytest.MonkeyPatch, question: str, written: str, history: Sequence[Turn]
) -> None:
    found = rewritten(monkeypatch, written, question, history)
    assert found == Rewritten(written, "by the model")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "wrote nothing"),
        (NOT_HERE["en"], "wrote nothing"),
        ("What is LoRA?", "learn, rate went missing"),
        ("About ten times that of full fine-tuning.", "went missing"),
        ("What is the learning rate of QLoRA?", "nobody said qlora"),
        ("What is the learning rate of LoRA? And is it good?\nIt is.", "more than a question"),
        ("learning rate of LoRA " * 100, "repeated itself"),
    ],
)
def test_what_cannot_be_trusted_is_left_to_the_rules(
    monkeypatch: pytest.MonkeyPatch, written: str, why: str
) -> None:
    found = rewritten(monkeypatch, written, "What is its learning rate?")
    assert found.text == RulesRewriter().rewrite(HISTORY, "What is its learning rate?").text
    assert "the model was not heeded" in found.reason
    assert why in found.reason


def test_the_model_sees_the_latest_turn_first_and_nothing_of_a_first_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Scripted("When was LoRA presented?")
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: writer)
    rewriter = GenerativeRewriter(model="builtin")
    assert rewriter.rewrite([], "When?") == Rewritten("When?", "the first question")
    assert not writer.given
    rewriter.rewrite(HISTORY, "When was it presented?")
    assert [passage.text for passage in writer.given[0]] == [
        "When was LoRA proposed?\nJune 2021",
        "Who proposed LoRA?\nEdward Hu",
    ]


def test_a_model_that_answers_instead_changes_no_question(talk: Any) -> None:
    """A real one, which has only learned to answer."""
    rewriter = GenerativeRewriter(model=str(talk.model))
    history = [Turn("Who designed the Orchard Bridge?", "Who designed the Orchard Bridge?", "Maria Keller")]
    found = rewriter.rewrite(history, "When did it open?")
    assert found.text == RulesRewriter().rewrite(history, "When did it open?").text
    assert "the model was not heeded" in found.reason


def test_the_shipped_generator_is_no_rewriter() -> None:
    with pytest.raises(ConfigError, match="follows no prompt"):
        GenerativeRewriter()
