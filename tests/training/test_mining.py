"""Hard negatives hold no answer."""

from pathlib import Path

from ragqa.analysis import terms
from ragqa.data import distinct_passages, squad
from ragqa.indexes.bm25 import Bm25Index
from ragqa.training.mining import with_hard_negatives
from ragqa.types import Example, Passage, Query, Span


def test_no_negative_holds_the_answer_or_is_the_gold_passage(questions: Path) -> None:
    examples = squad.load(questions)
    passages = distinct_passages(examples)
    assert len(passages) == 18
    index = Bm25Index()
    index.add([terms(p.titled_text) for p in passages])
    mined = list(with_hard_negatives(examples, passages, index, 4))
    assert [m.query for m in mined] == [e.query for e in examples]
    for example in mined:
        assert 1 <= len(example.hard_negatives) <= 4
        for negative in example.hard_negatives:
            assert negative.id != example.positives[0].id
            assert not any(a.casefold() in negative.text.casefold() for a in example.answers)
    # The nearest passages come first: those of the same animal, where any is left.
    near = [m.hard_negatives[0].doc_id == m.positives[0].doc_id for m in mined]
    assert sum(near) > len(near) / 2


def test_the_case_of_an_answer_does_not_hide_it() -> None:
    gold, shouted = Passage("a", 0, 9, "in Zurich"), Passage("b", 0, 9, "to ZURICH")
    other = Passage("c", 0, 7, "zurick?")
    index = Bm25Index()
    index.add([["zurich"], ["zurich"], ["zurich"]])
    example = Example(Query("Zurich?"), ("Zurich",), (gold,), (Span(3, 9),))
    (mined,) = with_hard_negatives([example], [gold, shouted, other], index, 3)
    assert mined.hard_negatives == (other,)


def test_own_negatives_come_first_and_an_unanswered_question_keeps_only_its_own() -> None:
    gold, own, mined = (Passage(name, 0, 6, f"zurich {name}") for name in "abc")
    index = Bm25Index()
    index.add([["zurich"]] * 3)
    asked = Query("Zurich?")
    answered = Example(asked, ("a",), (gold,), (Span(7, 8),), (own,))
    unanswered = Example(asked, hard_negatives=(own,))
    first, second = with_hard_negatives([answered, unanswered], [gold, own, mined], index, 3)
    assert first.hard_negatives == (own, mined)
    assert second.hard_negatives == (own,)
