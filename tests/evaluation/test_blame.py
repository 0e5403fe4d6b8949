"""Whose fault: the whole table of what can happen to a question."""

from itertools import product

import pytest

from ragqa.evaluation.blame import MEANING, Course, Verdict, verdict


@pytest.mark.parametrize(
    ("answerable", "retrieved", "read", "right", "expected"),
    [
        (True, True, True, True, Verdict.ANSWERED),
        (True, False, False, True, Verdict.ANSWERED),  # found elsewhere
        (True, True, True, False, Verdict.READER_MISSED),
        (True, False, True, False, Verdict.READER_MISSED),
        (True, True, False, False, Verdict.RERANKER_DROPPED),
        (True, True, False, None, Verdict.RERANKER_DROPPED),
        (True, False, False, False, Verdict.RETRIEVER_MISSED),
        (True, False, False, None, Verdict.RETRIEVER_MISSED),
        (True, True, True, None, Verdict.WRONGLY_REFUSED),
        (False, False, False, None, Verdict.RIGHTLY_REFUSED),
        (False, False, False, False, Verdict.WRONGLY_ANSWERED),
        (True, False, None, True, Verdict.ANSWERED),
        (True, False, None, False, Verdict.NOT_CHOSEN),
        (True, False, None, None, Verdict.NOT_CHOSEN),
    ],
)
def test_the_table(
    answerable: bool, retrieved: bool, read: bool | None, right: bool | None, expected: Verdict
) -> None:
    assert verdict(Course(answerable, retrieved, read, right)) is expected


def test_every_course_has_a_verdict_and_every_verdict_a_meaning() -> None:
    flags = (True, False)
    given = {verdict(Course(*course)) for course in product(flags, flags, (*flags, None), (None, *flags))}
    assert given == set(Verdict) == MEANING.keys()
