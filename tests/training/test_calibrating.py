"""What a confidence is fitted on: questions whose passages are there, and some whose passages were taken away."""

from collections.abc import Sequence

from ragqa.training.calibrating import retrieve_for
from ragqa.types import Example, Hit, Passage, Query, Span

TEXTS = ("She was born on the 19th of May.", "The harbour is cold.", "On the 19 steps nobody sat.")
PASSAGES = [Passage(f"d{n}", 0, len(text), text) for n, text in enumerate(TEXTS)]


class All:
    """Every passage for every question."""

    def retrieve(self, queries: Sequence[str], top_k: int) -> list[list[Hit]]:
        return [[Hit(passage, 1.0) for passage in PASSAGES][:top_k] for _ in queries]


def test_where_answers_are_taken_away_the_questions_own_passage_goes_as_well() -> None:
    """Its answer may stand within a word, where no whole word tells it."""
    at = TEXTS[0].index("19")
    asked = Example(Query("Which day?"), ("19",), (PASSAGES[0],), (Span(at, at + 2),))
    (left,) = retrieve_for([asked], All(), 3, 1.0, seed=0)
    assert [hit.passage.id for hit in left.hits] == [PASSAGES[1].id]
    assert not left.answerable
    (whole,) = retrieve_for([asked], All(), 3, 0.0, seed=0)
    assert len(whole.hits) == 3
    assert whole.answerable
