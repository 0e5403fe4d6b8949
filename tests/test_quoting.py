"""Which span or statement is quoted, and its features by hand."""

import pytest

from ragqa.quoting import chosen_span, lexical_choice, span_features
from ragqa.spans import Reading, SpanScore
from ragqa.types import Hit, Passage, Query

APPLE = "苹果树有哪些特点？苹果树在四月开花。果实在九月成熟。"


def hit(text: str, score: float = 0.5, name: str = "doc") -> Hit:
    return Hit(Passage(name, 0, len(text), text), score, {"dense": 0.5, "bm25": 2.0})


def test_the_features_by_hand() -> None:
    hits = [hit("a cat", 0.9), hit("a dog", 0.4), hit("A CAT", 0.2)]
    spans = (SpanScore(0, 2, 5, -1.0), SpanScore(2, 2, 5, -1.1), SpanScore(1, 2, 5, -2.0))
    features = span_features(Query("cat bird"), hits, Reading(spans, null=-3.5), spans[0], weight=10)
    assert features["log_probability"] == -1.0
    assert features["null_margin"] == pytest.approx(2.5)
    assert features["lead"] == pytest.approx(
        (-1 + 9) - (-2 + 4)
    )  # the equal answer of another hit is no rival
    assert (features["cosine"], features["fused"]) == (0.5, 0.9)
    assert 0 < features["coverage"] < 1


def test_the_weight_lets_the_retrieval_decide() -> None:
    hits = [hit("a cat", 0.1), hit("a dog", 0.9)]
    reading = Reading((SpanScore(0, 2, 5, -1.0), SpanScore(1, 2, 5, -3.0)), null=-9)
    assert chosen_span(reading, hits, 0.0).passage == 0
    assert chosen_span(reading, hits, 10.0).passage == 1


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        # Who quotes the question answers nothing; what is left of it is the best.
        ("苹果树在几月开花？", f"{APPLE}有传言说，“苹果树在几月开花”指的是紫鸢居士。", "苹果树在四月开花。"),
        ("苹果树有多高？", "苹果树高约五米。有人问过“苹果树有多高”。", "苹果树高约五米。"),
        # The words of a query that asks nothing may stand in its answer.
        ("苹果树在四月开花", APPLE, "苹果树在四月开花。"),
        # Question and answer in one row of a table.
        ("苹果树有多高", "问题: 苹果树有多高; 答案: 五米\n果实有红有绿。", "问题: 苹果树有多高; 答案: 五米"),
        # Where nothing else stands, it is still the nearest.
        ("苹果树有多高", "有人问过“苹果树有多高”。", "有人问过“苹果树有多高”。"),
    ],
)
def test_a_sentence_that_repeats_a_chinese_question_does_not_answer_it(
    query: str, text: str, expected: str
) -> None:
    choice = lexical_choice(Query(query), [hit(text)])
    assert choice is not None
    assert text[choice.span.start : choice.span.end] == expected


def test_the_earlier_hit_wins_a_tie() -> None:
    choice = lexical_choice(Query("苹果树开花"), [hit(APPLE, 0.5, name="one"), hit(APPLE, 0.5, name="two")])
    assert choice is not None
    assert choice.hit == 0
    assert choice.features["lead"] == pytest.approx(0)
    assert lexical_choice(Query("苹果"), []) is None
    assert lexical_choice(Query("苹果"), [hit("  \n ")]) is None
