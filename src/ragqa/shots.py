"""Worked examples for a prompt: the first ones of a set, or those whose questions are nearest to the one asked.

Nearness is BM25 over the terms of the examples' questions: whoever writes prompts owns no encoder. Examples chosen for
each question do better than fixed ones (Liu et al. 2022, "What makes good in-context examples for GPT-3?",
arXiv:2101.06804).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from ragqa import plugins
from ragqa.analysis import terms
from ragqa.data import jsonl
from ragqa.errors import DataError
from ragqa.prompting import NOT_HERE, Shot, language_of
from ragqa.protocols import TermIndex
from ragqa.types import Example

_FOLDER = Path(__file__).parent / "prompts"


class FirstShots:
    """The first ``count`` examples in the question's language.

    Args:
        shots: by language.
    """

    def __init__(self, shots: Mapping[str, Sequence[Shot]], count: int) -> None:
        self._shots, self._count = shots, count

    def __call__(self, question: str) -> Sequence[Shot]:
        """At most ``count`` examples; never the question itself."""
        mine = self._shots.get(language_of(question), ())
        return [shot for shot in mine if _folded(shot.question) != _folded(question)][: self._count]


class NearestShots:
    """The ``count`` examples whose questions are nearest to the one asked, the nearest first.

    Where fewer share a term with it, the first others in its language make up the number.
    """

    def __init__(self, shots: Mapping[str, Sequence[Shot]], count: int) -> None:
        self._all = [shot for mine in shots.values() for shot in mine]
        self._first, self._count = FirstShots(shots, count), count
        self._index: TermIndex = plugins.build("indexes", {"name": "bm25"})
        self._index.add([terms(shot.question) for shot in self._all])

    def __call__(self, question: str) -> Sequence[Shot]:
        """At most ``count`` examples; never the question itself."""
        ((_, rows),) = self._index.search([terms(question)], len(self._all))
        near = [self._all[row] for row in rows]
        near = [shot for shot in near if _folded(shot.question) != _folded(question)][: self._count]
        return [*near, *(shot for shot in self._first(question) if shot not in near)][: self._count]


def load_shots(path: Path) -> dict[str, list[Shot]]:
    """The examples of a file in ragqa's own form by the language of their question, in its order.

    A question that its passage does not answer is answered with what a model shall write then.

    Raises:
        DataError: the file cannot be read, a line does not fit, or no question comes with a passage.
    """
    found: dict[str, list[Shot]] = {language: [] for language in NOT_HERE}
    for example in jsonl.load(path):
        if (shot := _shot(example)) is not None:
            found[language_of(shot.question)].append(shot)
    if not any(found.values()):
        raise DataError(
            f"{path} holds no worked example", accepted='JSON Lines with "question", "passage" and "answers"'
        )
    return found


@cache
def shipped_shots() -> Mapping[str, Sequence[Shot]]:
    """The examples that come with ragqa, by language."""
    return {language: load_shots(_FOLDER / f"examples.{language}.jsonl")[language] for language in NOT_HERE}


def _shot(example: Example) -> Shot | None:
    """A worked example; None for a question with options, or one without a passage."""
    passages = example.positives[:1] or example.hard_negatives[:1]
    if example.choice is not None or not passages:
        return None
    question = example.query.text
    answer = example.answers[0] if example.answers else NOT_HERE[language_of(question)]
    return Shot(question, passages, answer)


def _folded(question: str) -> str:
    """A question without case, spaces and punctuation: by this it is the same."""
    return "".join(re.findall(r"\w", unicodedata.normalize("NFKC", question).casefold()))
