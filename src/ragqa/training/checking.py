"""Before training: what of the questions can be learned from, and whether that is enough."""

from collections.abc import Callable, Sequence

from ragqa.errors import DataError, TrainingError
from ragqa.evaluation.answers import answer_tokens
from ragqa.types import Example

LEAST = 20
"""Answerable training questions below which nothing is learned but those questions."""

WORTHWHILE = 200


def consistent(examples: Sequence[Example], on_bad: Callable[[DataError], None]) -> list[Example]:
    """The examples without repetitions and contradictions.

    Of questions that ask the same about the same passage the first counts. ``on_bad`` is told of each later one that
    shares no word with its answers, or that calls unanswerable what was answered, or the other way round.
    """
    first: dict[tuple[str, str], Example] = {}
    for example in examples:
        passage = (example.positives or example.hard_negatives)[0]
        key = (" ".join(example.query.text.casefold().split()), passage.text)
        known = first.setdefault(key, example)
        if known is not example and _contradicts(known, example):
            on_bad(
                DataError(
                    f"{_name(example)}: {_said(example)}, but {_name(known)} asks the same and says {_said(known)}",
                    accepted="one label for a question and its passage; the first is kept",
                )
            )
    return list(first.values())


def require_signal(training: Sequence[Example]) -> None:
    """Refuse questions from which nothing can be learned.

    Raises:
        TrainingError: too few answerable questions, or one answer for all of them.
    """
    answered = [e for e in training if e.answers]
    if len(answered) < LEAST:
        raise TrainingError(
            f"{len(answered)} answerable questions are left for training",
            accepted=f"{LEAST} or more; {WORTHWHILE} or more are worth the time",
            next_step="write more questions, about several documents",
        )
    if len({" ".join(answer_tokens(e.answers[0])) for e in answered}) == 1:
        raise TrainingError(
            f"all {len(answered)} training questions have the answer {answered[0].answers[0]!r}",
            accepted="questions with different answers: with one answer there is nothing to tell apart",
        )


def _contradicts(one: Example, other: Example) -> bool:
    if bool(one.answers) != bool(other.answers):
        return True
    words = {token for answer in one.answers for token in answer_tokens(answer)}
    others = {token for answer in other.answers for token in answer_tokens(answer)}
    return bool(words and others) and not words & others


def _name(example: Example) -> str:
    return f"question {example.query.id!r}"


def _said(example: Example) -> str:
    return repr(example.answers[0]) if example.answers else "that nothing answers it"
