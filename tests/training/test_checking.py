"""What cannot be learned from is told before any training."""

import pytest

from ragqa.errors import DataError, TrainingError
from ragqa.training.checking import LEAST, consistent, require_signal
from ragqa.types import Example, Passage, Query

PASSAGE = Passage("lease", 0, 22, "The lease ends in May.")


def asked(text: str, *answers: str, id: str = "", passage: Passage = PASSAGE) -> Example:
    query = Query(text, id=id)
    return Example(query, answers, (passage,)) if answers else Example(query, hard_negatives=(passage,))


def test_repetitions_and_contradictions_are_named_and_left_out() -> None:
    examples = [
        asked("When does it end?", "May", id="1"),
        asked("When does  it END?", "in May", id="2"),
        asked("When does it end?", "lease", id="3"),
        asked("When does it end?", id="4"),
        asked("When does it end?", "May", id="5", passage=Passage("other", 0, 3, "May")),
    ]
    said: list[DataError] = []
    assert [e.query.id for e in consistent(examples, said.append)] == ["1", "5"]
    assert [fault.found for fault in said] == [
        "question '2': asked before, as question '1'",
        "question '3': 'lease', but question '1' asks the same and says 'May'",
        "question '4': that nothing answers it, but question '1' asks the same and says 'May'",
    ]


def test_too_few_questions_and_one_answer_for_all_are_refused() -> None:
    many = [asked(f"Question {n}?", f"answer {n}") for n in range(LEAST)]
    require_signal(many, many, "answers")
    unanswered = [asked(f"Unanswered {n}?") for n in range(50)]
    with pytest.raises(TrainingError, match=f"{LEAST - 1} answerable questions .* accepted: {LEAST} or more"):
        require_signal([*many[1:], *unanswered], many, "answers")
    with pytest.raises(TrainingError, match="the validation documents hold no answerable questions"):
        require_signal(many, unanswered, "answers")
    with pytest.raises(TrainingError, match="have the answer 'may'"):
        require_signal(
            [asked(f"Question {n}?", "may" if n % 2 else "May") for n in range(LEAST)], many, "answers"
        )


def test_questions_for_another_target_are_told_by_what_they_have() -> None:
    passage = Passage("lease", 0, 3, "May")
    judged = [Example(Query(f"Question {n}?"), positives=(passage,)) for n in range(50)]
    chosen = [Example(Query(f"Question {n}?", choices=("a", "b")), choice=0) for n in range(50)]
    with pytest.raises(TrainingError, match=r"0 answerable .*: the 50 there are have passages alone"):
        require_signal(judged, judged, "answers")
    with pytest.raises(
        TrainingError, match=r"0 questions with their passage .*: the 50 there are have choices alone"
    ):
        require_signal(chosen, chosen, "passages")
