"""Hard negatives hold no answer."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from ragqa.config import load_config
from ragqa.data import distinct_passages, squad
from ragqa.training.mining import Tally, mined, searched, with_hard_negatives
from ragqa.training.retrieval import MemoryRetriever, TermRetriever
from ragqa.training.settings import MiningConfig
from ragqa.training.splitting import divide
from ragqa.types import Example, Hit, Passage, Query, Span


def mined_of(
    examples: Sequence[Example], passages: Sequence[Passage], count: int, **mining: float
) -> list[Example]:
    settings = MiningConfig.model_validate(mining)
    return list(with_hard_negatives(examples, TermRetriever(passages), count, settings, Tally()))


def test_no_negative_holds_the_answer_or_is_the_gold_passage(questions: Path) -> None:
    examples = squad.load(questions)
    passages = distinct_passages(examples)
    assert len(passages) == 18
    negatives = mined_of(examples, passages, 4)
    assert [m.query for m in negatives] == [e.query for e in examples]
    for example in negatives:
        assert 1 <= len(example.hard_negatives) <= 4
        for negative in example.hard_negatives:
            assert negative.id != example.positives[0].id
            assert not any(a.casefold() in negative.text.casefold() for a in example.answers)
    # The nearest passages come first: those of the same animal, where any is left.
    near = [m.hard_negatives[0].doc_id == m.positives[0].doc_id for m in negatives]
    assert sum(near) > len(near) / 2


def test_an_answer_within_a_longer_word_is_none() -> None:
    gold, other = Passage("a", 0, 9, "one goat."), Passage("b", 0, 12, "a goat phone")
    example = Example(Query("How many goats?"), ("one",), (gold,), (Span(0, 3),))
    (found,) = mined_of([example], [gold, other], 1)
    assert found.hard_negatives == (other,)


def test_the_case_of_an_answer_does_not_hide_it() -> None:
    gold, shouted = Passage("a", 0, 14, "city in Zurich"), Passage("b", 0, 14, "city to ZURICH")
    other = Passage("c", 0, 12, "city Zurick?")
    example = Example(Query("Which city?"), ("Zurich",), (gold,), (Span(8, 14),))
    (found,) = mined_of([example], [gold, shouted, other], 3)
    assert found.hard_negatives == (other,)


def test_own_negatives_come_first_and_an_unanswered_question_keeps_only_its_own() -> None:
    gold, own, near = (Passage(name, 0, 6, f"zurich {name}") for name in "abc")
    asked = Query("Zurich?")
    answered = Example(asked, ("zurich a",), (gold,), (Span(0, 8),), (own,))
    unanswered = Example(asked, hard_negatives=(own,))
    first, second = mined_of([answered, unanswered], [gold, own, near], 3)
    assert first.hard_negatives == (own, near)
    assert second.hard_negatives == (own,)


def test_a_held_out_passage_is_never_a_negative(questions: Path) -> None:
    examples = squad.load(questions)
    split = divide(examples, 1, 1, seed=3)
    mining = MiningConfig()
    found = mined(split, searched(split, mining), 4, mining, lambda _: None)
    kept = {p.doc_id for p in distinct_passages(split.training)}
    assert {n.doc_id for e in found for n in e.hard_negatives} <= kept
    assert all(e.hard_negatives for e in found)


def test_a_configuration_of_ones_own_ranks_the_passages(questions: Path, tmp_path: Path) -> None:
    split = divide(squad.load(questions), 1, 1, seed=3)
    path = tmp_path / "own.yaml"
    path.write_text("encoder: {name: hashing}\nfusion: {dense_weight: 1.0}\n", encoding="utf-8")
    mining = MiningConfig(retriever="hybrid", config=path)
    texts = [e.query.text for e in split.training]
    found = searched(split, mining).retrieve(texts, 5)
    passages = distinct_passages([*split.training, *split.validation, *split.test])
    assert found == MemoryRetriever(passages, load_config(path)).retrieve(texts, 5)
    path.write_text("encoder: {name: hashing}\nfusion: {dense_weight: 0.0}\n", encoding="utf-8")
    assert found != searched(split, mining).retrieve(texts, 5)
    with pytest.raises(ValidationError, match="config is for the retriever hybrid"):
        MiningConfig(config=path)


class Ranked:
    """Gives every query the same hits."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self.hits = list(hits)

    def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        return [self.hits[:top_k] for _ in queries]


@pytest.mark.parametrize(
    ("mining", "kept", "percent"),
    [
        ({}, ["b", "c", "d"], 25.0),
        ({"margin": 0.9}, ["c", "d"], 50.0),
        ({"first_rank": 3}, ["c", "d"], 33.3),
        ({"last_rank": 4}, ["b", "c"], 33.3),
    ],
)
def test_ranks_and_margin_decide_and_removed_false_negatives_are_counted(
    mining: dict[str, float], kept: list[str], percent: float
) -> None:
    texts = {"b": "near", "a": "the answer", "e": "also the answer", "c": "farther", "d": "far"}
    passages = {name: Passage(name, 0, len(text), text) for name, text in texts.items()}
    scores = {"b": 9.9, "a": 10.0, "e": 5.0, "c": 4.0, "d": 3.0}
    ranked = Ranked([Hit(passages[name], scores[name]) for name in texts])
    example = Example(Query("?"), ("answer",), (passages["a"],), (Span(4, 10),))
    tally = Tally()
    (found,) = with_hard_negatives([example], ranked, 3, MiningConfig.model_validate(mining), tally)
    assert [p.doc_id for p in found.hard_negatives] == kept
    assert tally.percent == percent


def test_questions_are_mined_as_they_are_asked_for_and_no_hit_is_kept_longer() -> None:
    passages = [Passage(f"d{n}", 0, 9, f"passage {n}") for n in range(30)]
    asked: list[int] = []

    class Counting(TermRetriever):
        def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
            asked.append(len(queries))
            return super().retrieve(queries, top_k)

    examples = [Example(Query(f"passage {n}?"), ("x",), (passages[n % 30],)) for n in range(2500)]
    streamed = with_hard_negatives(examples, Counting(passages), 2, MiningConfig(), Tally())
    next(streamed)
    assert len(asked) == 1
    assert asked[0] < len(examples) / 2
    assert len(list(streamed)) == 2499
    assert sum(asked) == 2500
