"""Worked examples in a prompt: which, how many, and that they take no passage's room."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.errors import ConfigError, DataError
from ragqa.prompting import NOT_HERE, Prompter, Shot
from ragqa.recipe import Recipe
from ragqa.shots import FirstShots, NearestShots, load_shots, shipped_shots
from ragqa.templates import Template, quoter
from ragqa.types import Passage

MARKS = ["<<<", ">>>", "<|im_start|>", "[INST]", "</s>", "<start_of_turn>"]


def shot(question: str) -> Shot:
    return Shot(question, (Passage("", 0, 3, "It."),), "it")


class Words:
    """A tokenizer whose tokens are words."""

    eos_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1] * len(text.split())}


def test_the_nearest_come_first_and_others_make_up_the_number() -> None:
    shots = {
        "en": [
            shot("Who built the mill?"),
            shot("When does the ferry leave?"),
            shot("Who painted the ferry?"),
        ],
        "zh": [],
    }
    nearest = NearestShots(shots, 2)
    assert [s.question for s in nearest("When did the ferry leave Aldermoor?")] == [
        "When does the ferry leave?",
        "Who painted the ferry?",
    ]
    assert [s.question for s in nearest("Unheard-of words?")] == [s.question for s in shots["en"][:2]]


@given(
    st.lists(st.text("ab c?", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=8, unique=True)
)
def test_the_question_itself_is_never_an_example(questions: list[str]) -> None:
    shots = {"en": [shot(question) for question in questions], "zh": []}
    for choose in (FirstShots(shots, 3), NearestShots(shots, 3)):
        for question in questions:
            found = [one.question for one in choose(question.upper() + " !")]
            folded = [q.casefold().replace(" ", "").replace("?", "") for q in found]
            assert question.casefold().replace(" ", "").replace("?", "") not in folded
            assert len(found) <= 3


def test_the_shipped_examples_hold_what_they_answer() -> None:
    for language, shots in shipped_shots().items():
        assert len(shots) >= 8
        refused = [one for one in shots if one.answer == NOT_HERE[language]]
        assert 0 < len(refused) < len(shots) / 2
        for one in shots:
            if one not in refused:
                assert one.answer in one.passages[0].text


def test_examples_give_way_to_passages_and_those_left_out_are_counted() -> None:
    passages = [Passage("", 0, 100, "word " * 40), Passage("", 200, 300, "other " * 40)]

    def prompt(room: int) -> Any:
        prompter = Prompter(
            Words(), template="few_shot", max_tokens=room, shots=FirstShots(shipped_shots(), 8)
        )
        return prompter.prompt("What does it say?", passages)

    kept = [(len(p.passages), p.shots, p.shots_left_out) for p in map(prompt, range(70, 700, 30))]
    assert kept[-1] == (2, 8, 0)
    for passages_in, shots_in, left_out in kept:
        assert shots_in + left_out == 8
        assert passages_in == 2 or not shots_in
    assert kept == sorted(kept)


def test_a_recipe_says_what_does_not_go_together(tmp_path: Path) -> None:
    assert Recipe(shots=2).prompt == "few_shot"
    assert Recipe(prompt="few_shot").count == 3
    assert Recipe(shots=0, prompt="few_shot").count == 0
    for options, message in (
        ({"shots": 65}, "0 to 64"),
        ({"prompt": "json"}, "needs a JSON Schema"),
    ):
        with pytest.raises(ConfigError, match=message):
            Recipe(**options)
    with pytest.raises(ConfigError, match="no place for worked examples; accepted: one that uses shots"):
        Recipe(prompt="zero_shot", shots=2).prompter(Words(), 1000)
    path = tmp_path / "bare.jsonl"
    path.write_text(
        json.dumps({"question": "Who?", "choices": ["Ada", "Bo"], "correct": "Ada"}) + "\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match="holds no worked example"):
        load_shots(path)


@given(st.lists(st.sampled_from([*MARKS, "a", " ", "<", ">", "|"]), max_size=12).map("".join))
def test_no_document_can_write_a_mark_of_the_prompt(text: str) -> None:
    quoted = quoter(["<extra>"])(text)
    assert not any(mark in quoted for mark in MARKS)
    assert "".join(quoted.split()) == "".join(text.split())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["zero_shot", "few_shot", "only_passages", "json"])
def test_every_template_says_what_to_write_otherwise_and_that_documents_are_quotations(
    name: str, language: str
) -> None:
    passages = [{"title": "Title", "text": "Text."}]
    from ragqa.templates import Quoted

    text = Template(name, language).render(
        question="Q?",
        passages=[Quoted(**one) for one in passages],
        not_here=NOT_HERE[language],
        shots=[],
        schema="{}",
        fault=None,
    )
    assert NOT_HERE[language] in text
    assert "<<<1\nTitle\nText.\n1>>>" in text
    assert ("quotations" if language == "en" else "引文") in text
    assert text.index("Text.") < text.rindex("Q?")
