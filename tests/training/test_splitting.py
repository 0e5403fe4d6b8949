"""Documents stay whole, and every question is in one part."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.errors import TrainingError
from ragqa.training.splitting import divide, document_of
from ragqa.types import Example, Passage, Query


def about(document: str, number: int, answerable: bool = True) -> Example:
    passage = Passage(document, number, number + 4, "text")
    query = Query(f"{document} {number}?", id=f"{document}-{number}")
    return Example(query, ("text",), (passage,)) if answerable else Example(query, hard_negatives=(passage,))


EXAMPLES = [about(f"d{n % 23}", n, answerable=n % 4 != 0) for n in range(200)]


@given(st.integers(0, 99), st.none() | st.integers(0, 8), st.none() | st.integers(0, 8))
def test_parts_share_no_document_and_lose_no_question(
    seed: int, validation: int | None, test: int | None
) -> None:
    split = divide(EXAMPLES, validation, test, seed)
    parts = [split.training, split.validation, split.test]
    documents = [{document_of(e) for e in part} for part in parts]
    assert not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]
    assert sorted(e.query.id for part in parts for e in part) == sorted(e.query.id for e in EXAMPLES)
    assert len(documents[1]) == (2 if validation is None else validation)
    assert len(documents[2]) == (2 if test is None else test)
    assert split == divide(EXAMPLES, validation, test, seed)


@given(st.integers(0, 99), st.sets(st.integers(0, 22), max_size=8))
def test_documents_may_be_held_out_by_name(seed: int, numbers: set[int]) -> None:
    names = [f"d{number}" for number in sorted(numbers)]
    split = divide(EXAMPLES, names, 1, seed)
    assert {document_of(e) for e in split.validation} == set(names)
    assert len({document_of(e) for e in split.test}) == 1


@given(st.integers(0, 99))
def test_a_split_is_that_of_names_in_their_order(seed: int) -> None:
    """Else a model of an earlier version would be calibrated on questions that it has learned."""
    names = sorted(e.query.text for e in EXAMPLES)
    random.Random(seed).shuffle(names)
    split = divide(EXAMPLES, 40, 20, seed, "questions")
    assert {e.query.text for e in split.validation} == set(names[:40])
    assert {e.query.text for e in split.test} == set(names[40:60])


def test_a_name_that_no_document_has_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"validation_documents names 'd23', which is none of the 23"):
        divide(EXAMPLES, ["d1", "d23"], 1, 0)


@given(st.integers(0, 99))
def test_questions_about_the_same_documents_may_be_held_out(seed: int) -> None:
    asked_twice = [*EXAMPLES, about("d0", 0, answerable=False)]
    split = divide(asked_twice, 40, None, seed, "questions")
    texts = [{e.query.text for e in part} for part in (split.training, split.validation, split.test)]
    assert [len(part) for part in texts] == [140, 40, 20]
    assert len(set().union(*texts)) == 200
    assert {document_of(e) for e in split.validation} <= {document_of(e) for e in split.training}


@given(st.integers(0, 99))
def test_a_question_that_is_only_spelt_otherwise_is_on_the_same_side(seed: int) -> None:
    spelt = [replace(e, query=Query(f" {e.query.text.upper()}")) for e in EXAMPLES]
    split = divide([*EXAMPLES, *spelt], 40, None, seed, "questions")
    assert [len(part) for part in (split.training, split.validation, split.test)] == [280, 80, 40]
    alone = [Example(e.query, e.answers) for e in (*EXAMPLES, *spelt)]
    apart = divide(alone, 40, None, seed)
    assert [len(part) for part in (apart.training, apart.validation, apart.test)] == [280, 80, 40]
    named = divide([*EXAMPLES, *spelt], [" D0 0?"], None, seed, "questions")
    assert {e.query.text for e in named.validation} == {"d0 0?", " D0 0?"}


def test_questions_that_nothing_answers_are_split_too() -> None:
    split = divide(EXAMPLES, None, None, 1)
    for part in (split.training, split.validation, split.test):
        assert any(not e.answers for e in part)
        assert any(e.answers for e in part)


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"2 documents, of which 2 .* try: give each question its \"document\""
    ):
        divide([about("a", 1), about("b", 2)], None, None, 1)
    with pytest.raises(TrainingError, match=r"2 questions, of which 2 .* try: write more questions"):
        divide([about("a", 1), about("a", 2)], None, None, 1, "questions")


def test_a_negative_from_a_held_out_document_is_not_read_in_training() -> None:
    def passage(document: str) -> Passage:
        return Passage(document, 0, 4, "text")

    examples = [
        Example(Query(f"{n}?"), ("a",), (passage(f"{n}"),), hard_negatives=tuple(map(passage, "012345")))
        for n in range(6)
    ]
    parts = divide(examples, ["1"], 1, seed=13)
    aside = {"1", parts.test[0].positives[0].doc_id}
    assert {p.doc_id for e in parts.training for p in e.hard_negatives} == set("012345") - aside
    assert all(len(e.hard_negatives) == 6 for e in (*parts.validation, *parts.test))
    several = [replace(e, positives=(*e.positives, passage("1")), shares=(0.6, 0.4)) for e in examples]
    parts = divide(several, ["1"], 1, seed=13)
    assert all(len(e.positives) == len(e.shares) == 1 for e in parts.training)
    assert all(len(e.positives) == len(e.shares) == 2 for e in (*parts.validation, *parts.test))
    alike = divide(examples, 1, 1, seed=13, unit="questions")
    assert all(len(e.hard_negatives) == 6 for e in alike.training)
