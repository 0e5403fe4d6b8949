"""Prompts: what finds room, what is cut, and templates that do not fit."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.errors import ConfigError
from ragqa.prompting import NOT_HERE, Prompter
from ragqa.templates import names
from ragqa.types import Passage


class Words:
    """A tokenizer whose tokens are words; with a chat template it sets a turn around the text."""

    eos_token_id = 0

    def __init__(self, chat: bool = False) -> None:
        self.chat_template = "given" if chat else None
        self.texts: list[str] = []

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        self.texts.append(text)
        return {"input_ids": [1 + hash(word) % 1000 for word in text.split()]}

    def apply_chat_template(self, turns: list[dict[str, str]], **_: Any) -> str:
        (turn,) = turns
        return f"<{turn['role']}> {turn['content']} <assistant>"


def passage(number: int, sentences: int = 1) -> Passage:
    text = " ".join(f"Text {number} says thing {n}." for n in range(sentences))
    return Passage(f"notes {number}", 0, len(text), text, f"Title {number}")


def words_of(template: str = "zero_shot", **more: Any) -> tuple[Words, Prompter]:
    tokenizer = Words(chat=more.pop("chat", False))
    return tokenizer, Prompter(tokenizer, template=template, **more)


def test_the_shipped_prompt_holds_question_passages_and_what_to_say_otherwise() -> None:
    tokenizer, prompter = words_of()
    prompt = prompter.prompt("What does it say?", [passage(1), passage(2)])
    text = tokenizer.texts[-1]
    assert prompt.passages == (passage(1), passage(2))
    assert "<<<1\nTitle 1\nText 1 says thing 0.\n1>>>" in text
    assert "<<<2\nTitle 2\nText 2 says thing 0.\n2>>>" in text
    assert text.endswith("Question: What does it say?\nAnswer:")
    assert NOT_HERE["en"] in text


def test_a_chinese_question_gets_the_chinese_prompt() -> None:
    tokenizer, prompter = words_of()
    prompter.prompt("谁提出了注意力？", [passage(1)])
    assert tokenizer.texts[-1].endswith("问题：谁提出了注意力？\n答案：")


def test_a_chat_model_gets_a_turn() -> None:
    tokenizer, prompter = words_of(chat=True)
    prompter.prompt("What?", [])
    assert tokenizer.texts[-1].startswith("<user> Answer")
    assert tokenizer.texts[-1].endswith("Answer: <assistant>")


@given(st.lists(st.integers(1, 12), max_size=6), st.integers(60, 120))
def test_no_prompt_is_longer_than_it_may_be_and_nothing_is_lost_silently(sizes: list[int], room: int) -> None:
    _, prompter = words_of(max_tokens=room)
    given_ = [passage(n, size) for n, size in enumerate(sizes)]
    prompt = prompter.prompt("What does it say?", given_)
    assert len(prompt.ids) <= room
    assert len(prompt.passages) + prompt.left_out == len(given_)
    if prompt.is_cut:
        (kept,) = prompt.passages
        assert given_[0].text.startswith(kept.text)
        assert kept.text.endswith(".")
        assert kept.end - kept.start == len(kept.text)
    else:
        assert set(prompt.passages) <= set(given_)


def test_the_first_passage_is_cut_at_a_sentence_where_it_has_no_room() -> None:
    _, prompter = words_of(max_tokens=90)
    prompt = prompter.prompt("What?", [passage(1, 30)])
    assert prompt.is_cut
    assert prompt.left_out == 0
    assert 1 <= prompt.passages[0].text.count(".") < 30


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    _, prompter = words_of(max_tokens=40)
    with pytest.raises(ConfigError, match="at most 40"):
        prompter.prompt("What " * 50, [])
    with pytest.raises(ConfigError, match=f"there is no prompt 'none'; accepted: {', '.join(names())}"):
        words_of("none")
    path = tmp_path / "mine.jinja"
    path.write_text("{{ questions }}", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"'questions' is undefined; accepted: question, passages, not_here"
    ):
        words_of(str(path))
    path.write_text("{% for p in %}", encoding="utf-8")
    with pytest.raises(ConfigError, match="a Jinja template"):
        words_of(str(path))


def test_the_template_that_shows_how_holds_what_it_must() -> None:
    path = Path(__file__).parents[1] / "configs" / "prompts" / "short.jinja"
    tokenizer, prompter = words_of(str(path))
    prompt = prompter.prompt("What does it say?", [passage(1)])
    assert prompt.passages == (passage(1),)
    assert tokenizer.texts[-1].endswith("What does it say?")
    assert "ragqa ask" not in tokenizer.texts[-1]  # a comment


def test_a_template_reaches_nothing_but_its_values(tmp_path: Path) -> None:
    path = tmp_path / "evil.jinja"
    path.write_text("{{ question.__class__.__mro__ }}", encoding="utf-8")
    with pytest.raises(ConfigError, match="evil"):
        words_of(str(path))
