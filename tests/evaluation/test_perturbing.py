"""Questions changed and sentences that mislead: deterministic, and only what they say."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.analysis import is_han
from ragqa.evaluation.perturbing import (
    INSTRUCTIONS,
    INSTRUCTIONS_ZH,
    appended,
    claim,
    decoy_for,
    distractor,
    instruction,
    lower_case,
    paraphrase,
    poisoned,
    typos,
)

QUESTION = st.one_of(
    st.lists(
        st.sampled_from(["When", "does", "the", "lease", "of", "Zürich", "end?", "BERT-large", "{0}"])
    ).map(" ".join),
    st.sampled_from(["苹果树在几月开花？", "BERT有多少参数？"]),
    st.text(max_size=40),
)


@pytest.mark.parametrize("change", [typos, lower_case, paraphrase])
@given(question=QUESTION, seed=st.integers(0, 3))
def test_a_changed_question_is_the_same_each_time_and_never_empty(
    change: Callable[[str, int], str], question: str, seed: int
) -> None:
    changed = change(question, seed)
    assert changed == change(question, seed)
    assert bool(changed.strip()) or not question.strip()


@given(QUESTION)
def test_lower_case_once_is_lower_case_twice(question: str) -> None:
    assert lower_case(lower_case(question)) == lower_case(question)


def slips(word: str) -> set[str]:
    """Everything one slip makes of a word, slowly: any one letter replaced, turned or left out behind the first."""
    places = range(1, len(word))
    dropped = {word[:p] + word[p + 1 :] for p in places}
    turned = {word[: p - 1] + word[p] + word[p - 1] + word[p + 1 :] for p in places if p > 1}
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return (dropped | turned | {word[:p] + c + word[p + 1 :] for p in places for c in letters}) - {word}


@given(
    st.lists(
        st.sampled_from(["When", "does", "the", "lease", "in", "PARIS", "Zürich", "四月", "1848s"]),
        min_size=1,
    )
)
def test_typos_are_one_slip_each_in_a_third_of_the_longer_words(words: list[str]) -> None:
    mistyped = typos(" ".join(words)).split(" ")
    longer = [word for word in words if word in {"When", "does", "lease", "PARIS"}]
    changed = [(word, other) for word, other in zip(words, mistyped, strict=True) if word != other]
    assert len(changed) == (max(1, len(longer) // 3) if longer else 0)
    for word, other in changed:
        assert word in longer
        assert other in slips(word)


def test_seeds_differ() -> None:
    question = "Which committee approved the budget of the northern harbour?"
    assert len({typos(question, seed) for seed in range(9)}) > 3
    assert len({paraphrase(question, seed) for seed in range(30)}) == 4
    assert len({instruction(question, "X", seed) for seed in range(40)}) == 4
    assert len({poisoned(question, "X", seed) for seed in range(800)}) == 80
    assert len({distractor(question, "X", seed) for seed in range(30)}) == 3
    assert len({claim(question, "X", seed) for seed in range(30)}) == 2


@given(QUESTION, st.integers(0, 9))
def test_a_paraphrase_holds_the_question_and_keeps_its_language(question: str, seed: int) -> None:
    changed = paraphrase(question, seed)
    assert question in changed
    assert changed != question
    assert is_han(changed) == is_han(question)


@given(QUESTION, st.integers(0, 9))
def test_a_misleading_sentence_holds_the_false_answer_and_keeps_the_language(
    question: str, seed: int
) -> None:
    decoy = decoy_for(question)
    for sentence in (make(question, decoy, seed) for make in (distractor, claim, instruction)):
        assert decoy in sentence
        assert is_han(sentence) == is_han(question)
    assert question.strip().rstrip("?.!？。！") in distractor(question, decoy, seed)


@pytest.mark.parametrize("forms", [INSTRUCTIONS, INSTRUCTIONS_ZH])
def test_instructions_have_twenty_forms_each_with_the_false_answer(forms: tuple[str, ...]) -> None:
    filled = {form.format(question="Why", decoy="X-Y-Z") for form in forms}
    assert len(filled) == 20
    assert all("X-Y-Z" in one and "{" not in one.replace('{"role"', "") for one in filled)
    assert all(is_han(one) == (forms is INSTRUCTIONS_ZH) for one in filled)


@given(QUESTION, st.integers(0, 9))
def test_a_poisoned_passage_holds_the_false_answer(question: str, seed: int) -> None:
    text = poisoned(question, "X-Y-Z", seed)
    assert "X-Y-Z" in text
    assert poisoned(question, "X-Y-Z", seed) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_sentence_comes_after_the_whole_text(text: str, sentence: str) -> None:
    changed = appended(text, sentence)
    assert changed.startswith(text)
    assert changed.endswith(sentence)
    assert len(changed) - len(text) - len(sentence) in (0, 1)
