"""What a writer hands to the reader, and what every writer can do; knows no model library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ragqa import backbone
from ragqa.analysis import is_han
from ragqa.protocols import Heard
from ragqa.types import Passage

NO_CHINESE = "the shipped generator does not write Chinese"


def can_word(model: str, question: str) -> bool:
    """Whether ``reader.model`` can word an answer to ``question``."""
    return not (model == backbone.BUILTIN and is_han(question))


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written for one question, unjudged.

    Attributes:
        log_probability: the mean over the tokens.
        passages: those that found room; the first may be cut at its end.
        left_out: passages that found none.
        is_cut: whether the first passage was cut.
        is_measured: False where nobody tells how likely the tokens were; ``log_probability`` is 0 then.
        note: what a user should know of how it was written.
        prompt_tokens: all that the model read; 0 where it reads no prompt.
        shots: worked examples in the prompt.
        shots_left_out: those that found no room.
        fault: why it would not do, where it had to fit a JSON Schema.
        tries: how often it was written.
    """

    text: str
    log_probability: float
    passages: tuple[Passage, ...]
    left_out: int
    is_cut: bool
    is_measured: bool = True
    note: str = ""
    prompt_tokens: int = 0
    shots: int = 0
    shots_left_out: int = 0
    fault: str = ""
    tries: int = 1


class Writer(Protocol):
    """Questions with their passages, best first → what is written."""

    def write(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]], heard: Heard | None = None
    ) -> list[Draft]:
        """One draft for each question.

        Args:
            heard: of one question alone: gets its text piece by piece; together the pieces are ``Draft.text``.
                The empty piece says that the writing goes on; what ``heard`` raises ends it.
        """
        ...
