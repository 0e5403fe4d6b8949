"""Text → BM25 terms, in English, Chinese and mixtures of both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.analysis import STOP_WORDS, is_han, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Running runners RAN", ["run", "runner", "ran"]),
        ("the state of the art", ["state", "art"]),
        ("The who, what and why", []),
        ("BM25 scores 3.5 of x_y", ["bm25", "score", "3", "5", "x", "y"]),
        ("Ｆｕｌｌ-width １２", ["full", "width", "12"]),
        ("naïve Straße", ["naïv", "strass"]),
        ("机器学习", ["机", "器", "学", "习", "机器", "器学", "学习"]),
        ("用BM25检索", ["用", "bm25", "检", "索", "检索"]),
        ("水", ["水"]),
        ("水，火", ["水", "火"]),
        ("𠀀𠀁", ["𠀀", "𠀁", "𠀀𠀁"]),
        ("Москва 東京", ["москва", "東", "京", "東京"]),
        ("", []),
        ("?! … —", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_straight_and_curly_apostrophes_are_one() -> None:
    assert terms("the runner's shoe") == terms("the runner’s shoe") == ["runner", "shoe"]


def test_a_question_shares_its_content_words_with_the_sentence_that_answers_it() -> None:
    asked = set(terms("Which enzymes were isolated by the chemists?"))
    told = set(terms("A chemist isolating an enzyme wrote it down."))
    assert {"enzym", "isol", "chemist"} <= asked & told


@given(st.text())
def test_terms_of_any_text_are_not_empty_and_hold_no_space(text: str) -> None:
    for term in terms(text):
        assert term
        assert not any(c.isspace() for c in term)


@given(st.text(alphabet="abc 水火的 ,'’", max_size=30), st.text(alphabet="abc 水火的 ,", max_size=30))
def test_texts_apart_have_the_terms_of_each(first: str, second: str) -> None:
    assert terms(f"{first} | {second}") == terms(first) + terms(second)


@given(st.text())
def test_case_does_not_matter_in_ascii(text: str) -> None:
    ascii_text = text.encode("ascii", "ignore").decode()
    assert terms(ascii_text.upper()) == terms(ascii_text.lower())


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=20))
def test_a_run_of_han_has_every_character_and_every_pair(run: str) -> None:
    assert is_han(run)
    assert terms(run) == [*run, *(run[i : i + 2] for i in range(len(run) - 1))]


def test_only_han_is_han() -> None:
    assert is_han("abc 水")
    assert not is_han("abc かな 한글 ，。")


def test_stop_words_are_folded_as_terms_are() -> None:
    assert all(word == word.casefold() for word in STOP_WORDS)
    assert terms(" ".join(STOP_WORDS)) == []
