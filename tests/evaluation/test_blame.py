"""Whose fault: the whole table of what can happen to a question."""

from itertools import product

import pytest

from ragqa.evaluation.blame import MEANING, RIGHT_F1, Course, Verdict, verdict


@pytest.mark.parametrize(
    ("answerable", "retrieved", "read", "f1", "expected"),
    [
        (True, True, True, 1.0, Verdict.ANSWERED),
        (True, False, False, RIGHT_F1, Verdict.ANSWERED),  # found elsewhere
        (True, True, True, 0.4, Verdict.READER_MISSED),
        (True, False, True, 0.0, Verdict.READER_MISSED),
        (True, True, False, 0.0, Verdict.RERANKER_DROPPED),
        (True, True, False, None, Verdict.RERANKER_DROPPED),
        (True, False, False, 0.0, Verdict.RETRIEVER_MISSED),
        (True, False, False, None, Verdict.RETRIEVER_MISSED),
        (True, True, True, None, Verdict.WRONGLY_REFUSED),
        (False, False, False, None, Verdict.RIGHTLY_REFUSED),
        (False, False, False, 0.0, Verdict.WRONGLY_ANSWERED),
        (True, False, None, 1.0, Verdict.ANSWERED),
        (True, False, None, 0.0, Verdict.NOT_CHOSEN),
        (True, False, None, None, Verdict.NOT_CHOSEN),
    ],
)
def test_the_table(
    answerable: bool, retrieved: bool, read: bool | None, f1: float | None, expected: Verdict
) -> None:
    assert verdict(Course(answerable, retrieved, read, f1)) is expected


def test_every_course_has_a_verdict_and_every_verdict_a_meaning() -> None:
    flags = (True, False)
    given = {verdict(Course(*course)) for course in product(flags, flags, (*flags, None), (None, 0.0, 1.0))}
    assert given == set(Verdict) == MEANING.keys()
