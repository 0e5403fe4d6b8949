"""Exact match and F1: a table worked out by hand, and SQuAD's definition written out once more."""

import random
import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.evaluation.answers import (
    answer_tokens,
    exact_match,
    f1,
    holds,
    is_right,
    normalize,
    occurrences,
    rouge_l,
)
from ragqa.types import Span


@pytest.mark.parametrize(
    ("prediction", "gold", "exact", "overlap"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1, 1),
        ("in the  year\n1848", "1848", 0, 0.5),
        ("an apple a day", "apple day", 1, 1),
        ("theatre", "atre", 0, 0),
        ("co-operation", "cooperation", 1, 1),
        ("$3.50", "350", 1, 1),
        ("red red blue", "red blue blue", 0, 2 / 3),
        ("Zürich", "ZÜRICH", 1, 1),
        ("Zürich", "Zurich", 0, 0),
        ("“quoted”", "quoted", 0, 0),  # SQuAD drops ASCII punctuation only
        ("", "", 1, 1),
        ("the", "", 1, 1),
        ("", "cat", 0, 0),
        ("cat", "", 0, 0),
        ("四月开花", "四月", 0, 2 / 3),
        ("四月，开花。", "四月开花", 1, 1),
        ("2020年", "2020 年", 1, 1),
        ("使用BM25检索", "bm25", 0, 2 / 6),
    ],
)
def test_the_table(prediction: str, gold: str, exact: float, overlap: float) -> None:
    assert exact_match(prediction, [gold]) == exact
    assert f1(prediction, [gold]) == pytest.approx(overlap)


def test_the_best_gold_answer_counts() -> None:
    assert exact_match("cat", ["dog", "the cat"]) == 1
    assert f1("black cat", ["dog", "cat", "black cat sat"]) == pytest.approx(0.8)
    assert exact_match("cat", []) == f1("cat", []) == 0


def test_han_characters_are_tokens() -> None:
    assert answer_tokens("检索 Top 5。") == ["检", "索", "top", "5"]
    assert answer_tokens("The top 5.") == ["top", "5"]


def official_tokens(text: str) -> list[str]:
    """Lower, then punctuation, then articles, then white space, as the paper's script does."""
    lowered = text.lower()
    unpunctuated = lowered.translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(?:an|a|the)\b", " ", unpunctuated, flags=re.UNICODE).split()


def official_f1(prediction: str, gold: str) -> float:
    left, right = official_tokens(prediction), official_tokens(gold)
    if not left or not right:
        return float(left == right)
    remaining = Counter(right)
    same = 0
    for token in left:
        if remaining[token] > 0:
            remaining[token] -= 1
            same += 1
    if not same:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


_word = st.sampled_from(
    ["the", "a", "An", "cat", "Cat.", "day", "1848", "U.S.", "ärger", "-", "don't", "’s", ","]
)
_text = st.one_of(
    st.lists(_word, max_size=7).map(" ".join),
    st.text(st.characters(codec="utf-8", max_codepoint=0x24F), max_size=30),
)


@given(_text, st.lists(_text, min_size=1, max_size=3))
def test_the_scores_are_those_of_squad(prediction: str, golds: list[str]) -> None:
    assert normalize(prediction).split() == official_tokens(prediction)
    expected = max(float(official_tokens(prediction) == official_tokens(g)) for g in golds)
    assert exact_match(prediction, golds) == expected
    assert f1(prediction, golds) == pytest.approx(max(official_f1(prediction, g) for g in golds))


def test_10000_random_pairs_score_as_by_the_official_definition() -> None:
    draw = random.Random(20)
    words = [
        "the",
        "The",
        "a",
        "an",
        "cat",
        "Cat.",
        "1848",
        "U.S.",
        "don't",
        "théâtre",
        "ПРИВЕТ",
        "ελλάδα",
        "ß",
        "ﬁn",
    ]
    marks = ["", " ", "  ", "\n", "\u2028", "\xa0", "—", "“", "-", ",", "İ", "e\u0301", "🙂", "\u200b"]

    def text() -> str:
        return "".join(draw.choice(draw.choice((words, marks, [" "]))) for _ in range(draw.randint(0, 9)))

    empty = 0
    for _ in range(10_000):
        prediction, golds = text(), [text() for _ in range(draw.randint(1, 3))]
        empty += not official_tokens(prediction)
        equal = max(float(official_tokens(prediction) == official_tokens(gold)) for gold in golds)
        assert exact_match(prediction, golds) == equal, (prediction, golds)
        assert f1(prediction, golds) == pytest.approx(max(official_f1(prediction, g) for g in golds))
    assert empty > 500


@given(st.text(max_size=20), st.text(max_size=20))
def test_f1_is_symmetric_and_exact_answers_score_1(left: str, right: str) -> None:
    assert f1(left, [right]) == pytest.approx(f1(right, [left]))
    assert 0 <= f1(left, [right]) <= 1
    assert f1(left, [left]) == exact_match(left, [left]) == 1


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("police killed the gunman", "police kill the gunman", 2 / 3),  # police … gunman of three words each
        ("gunman kill police", "police kill gunman", 1 / 3),
        ("the cat", "a cat", 1),
        ("模型读文档", "模型读了文档", 10 / 11),
        ("", "", 1),
        ("", "cat", 0),
    ],
)
def test_rouge_l_by_hand(prediction: str, gold: str, score: float) -> None:
    assert rouge_l(prediction, ["unrelated", gold]) == pytest.approx(score)


@given(st.text("abc ", max_size=14), st.text("abc ", max_size=14))
def test_rouge_l_is_the_longest_common_subsequence(prediction: str, gold: str) -> None:
    mine, theirs = answer_tokens(prediction), answer_tokens(gold)

    def longest(one: list[str], other: list[str]) -> int:
        if not one or not other:
            return 0
        if one[0] == other[0]:
            return 1 + longest(one[1:], other[1:])
        return max(longest(one[1:], other), longest(one, other[1:]))

    expected = (
        2 * longest(mine, theirs) / (len(mine) + len(theirs)) if mine and theirs else float(mine == theirs)
    )
    assert rouge_l(prediction, [gold]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("It was designed by Maria Keller, in 1931.", ["the Maria Keller"], 1),
        ("It was designed by Maria, and Keller built it.", ["Maria Keller"], 0),
        ("theatres", ["theatre"], 0),
        ("光荣和ω-force开发了它。", ["ω-force"], 1),
        ("苹果树在四月开花。", ["五月", "四月"], 1),
        ("Keller", ["Maria Keller"], 0),
        ("", ["Keller"], 0),
        ("Keller", [""], 0),
        ("Keller", [], 0),
    ],
)
def test_an_answer_may_stand_in_a_sentence(prediction: str, golds: list[str], expected: float) -> None:
    assert holds(prediction, golds) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "as_words", "as_sentence"),
    [
        ("苹果树在四月开花。", ["四月"], False, True),
        ("苹果树在四月开花。", ["五月"], False, False),
        ("四月间", ["四月"], True, True),
        ("It was designed by Maria Keller, in 1931.", ["Maria Keller"], False, True),
        ("It was Maria", ["Maria Keller"], False, False),
        ("Maria", ["Maria Keller"], True, True),  # shares half
        ("anything", [], False, False),
    ],
)
def test_a_sentence_is_right_where_it_holds_the_answer(
    prediction: str, golds: list[str], as_words: bool, as_sentence: bool
) -> None:
    assert is_right(prediction, golds) is as_words
    assert is_right(prediction, golds, whole_sentence=True) is as_sentence


@given(*[st.text("ab c1.苹果四")] * 3)
def test_an_answer_stands_in_every_text_around_it(before: str, gold: str, behind: str) -> None:
    if answer_tokens(gold):
        assert holds(gold, [gold]) == 1
        assert holds(f"{before} {gold} {behind}", [gold]) == 1


@pytest.mark.parametrize(
    ("text", "answer", "places"),
    [
        ("In May, not in Mayfair. may", "May", [(3, 6), (24, 27)]),
        ("It cost $5 or 15.", "$5", [(8, 10)]),
        ("It cost 15 or 5.", "5", [(14, 15)]),
        ("红楼梦的作者是曹雪芹。", "曹雪芹", [(7, 10)]),
        ("红楼梦成书于1784年，作者", "1784年", [(6, 11)]),
        ("模型使用Adam优化器训练", "Adam", [(4, 8)]),
        ("模型使用Adams优化器训练", "Adam", []),
        ("a+b", "a+b", [(0, 3)]),
        ("nothing", " ", []),
    ],
)
def test_an_answer_stands_where_its_whole_words_stand(
    text: str, answer: str, places: list[tuple[int, int]]
) -> None:
    assert occurrences(text, [answer]) == [Span(*place) for place in places]


@given(st.text(min_size=1), st.text(), st.text())
def test_every_occurrence_is_the_answer(answer: str, before: str, after: str) -> None:
    text = f"{before} {answer} {after}"
    found = occurrences(text, [answer])
    assert bool(found) == bool(answer.strip())
    for span in found:
        assert text[span.start : span.end].casefold() == answer.strip().casefold() or not answer.isascii()
