"""BLEU and ROUGE against the reference packages called the long way, and against values worked by hand."""

import random

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from ragqa.evaluation.wording import ROUGE, bleu, rouge

WORDS = [
    "the",
    "The",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "1,848",
    "U.S.",
    "Zürich",
    "co-operation",
    "don't",
    "“so”",
    "-",
]
LATIN = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join),
    st.text(st.characters(codec="utf-8", max_codepoint=0x24F), max_size=30),
)


@given(LATIN, st.lists(LATIN, min_size=1, max_size=3))
def test_english_scores_are_those_of_the_packages(prediction: str, golds: list[str]) -> None:
    theirs = RougeScorer(list(ROUGE.values()), use_stemmer=False).score_multi(golds, prediction)
    assert rouge(prediction, golds) == {name: theirs[key].fmeasure for name, key in ROUGE.items()}
    assert bleu(prediction, golds) == pytest.approx(sacrebleu.sentence_bleu(prediction, golds).score / 100)


@given(st.text("模型读了文档 BM25", max_size=12), st.text("模型读了文档 BM25", max_size=12))
def test_chinese_is_scored_by_characters(prediction: str, rest: str) -> None:
    gold = f"文{rest}"
    spaced = ["".join(f" x{ord(c)} " if not c.isascii() else c for c in text) for text in (gold, prediction)]
    theirs = RougeScorer(list(ROUGE.values())).score(*spaced)
    assert rouge(prediction, [gold]) == {name: theirs[key].fmeasure for name, key in ROUGE.items()}
    expected = sacrebleu.sentence_bleu(prediction, [gold], tokenize="zh").score / 100
    assert bleu(prediction, [gold]) == pytest.approx(expected)


def test_values_worked_by_hand() -> None:
    # police killed the gunman / police kill the gunman: 3 of 4 words; (the gunman) of 3 pairs; police the gunman.
    found = rouge("police killed the gunman", ["police kill the gunman"])
    assert found == pytest.approx({"ROUGE-1": 3 / 4, "ROUGE-2": 1 / 3, "ROUGE-L": 3 / 4})
    assert rouge("模型读文档", ["模型读了文档"]) == pytest.approx(
        {"ROUGE-1": 10 / 11, "ROUGE-2": 6 / 9, "ROUGE-L": 10 / 11}
    )
    assert bleu("October 2018", ["in October 2018"]) == pytest.approx(
        2.718281828 ** (1 - 3 / 2)
    )  # brevity alone
    assert bleu("四月", ["四月"]) == pytest.approx(1.0)


@pytest.mark.parametrize("golds", [["May"], ["四月"], []])
def test_no_answer_scores_nothing(golds: list[str]) -> None:
    assert bleu("", golds) == 0
    assert rouge("", golds) == dict.fromkeys(ROUGE, 0.0)


def test_a_whole_gold_answer_scores_1_whichever_it_is() -> None:
    draw = random.Random(1)
    for _ in range(200):
        golds = [
            " ".join(draw.choices(["alpha", "beta", "gamma", "delta"], k=draw.randint(2, 6))) for _ in "abc"
        ]
        said = draw.choice(golds)
        assert bleu(said, golds) == pytest.approx(1.0)
        assert rouge(said, golds) == pytest.approx(dict.fromkeys(ROUGE, 1.0))
