"""Hard negatives hold no answer, and held-out documents stay out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.analysis import terms
from ragqa.data import squad
from ragqa.errors import TrainingError
from ragqa.indexes.bm25 import Bm25Index
from ragqa.training.mining import distinct_passages, with_hard_negatives
from ragqa.training.run import split_by_document
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


_examples = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(
    lambda documents: [
        Example(Query(f"q{n}"), ("x",), (Passage(f"d{d}", n, n + 1, "x"),), (Span(0, 1),))
        for n, d in enumerate(documents)
    ]
)


@given(_examples, st.integers(1, 6), st.integers(0, 5))
def test_no_document_is_on_both_sides(examples: list[Example], held_out: int, seed: int) -> None:
    documents = {e.positives[0].doc_id for e in examples}
    if held_out >= len(documents):
        with pytest.raises(TrainingError, match=f"{len(documents)} documents") as caught:
            split_by_document(examples, held_out, seed)
        assert caught.value.next_step
        return
    training, kept = split_by_document(examples, held_out, seed)
    left, right = ({e.positives[0].doc_id for e in side} for side in (training, kept))
    assert not left & right
    assert len(right) == held_out
    assert sorted(e.query.text for e in [*training, *kept]) == sorted(e.query.text for e in examples)
    assert split_by_document(examples[::-1], held_out, seed)[1] == kept[::-1]
