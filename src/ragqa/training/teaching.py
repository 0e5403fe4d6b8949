"""What other choice models say of the options, to be learned beside the labels (Hinton et al. 2015, arXiv:1503.02531).

Several small models together answer better than each of them; one that learns what all of them say keeps most of that.
Since an option is scored by itself, options of other questions can stand beside a question's own: there the teachers
tell more than the label does, that only one is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragqa.choices import option_windows, token_ids
from ragqa.config import Config
from ragqa.plugins import build
from ragqa.pretrained import backbone_of, folder_of
from ragqa.protocols import Encoder
from ragqa.runtimes import open_runtime
from ragqa.runtimes.scoring import window_scores
from ragqa.types import Example
from ragqa.windows import Windower, load_tokenizer

Floats = npt.NDArray[np.float32]

_NEAR = 150
"""Options of other questions are drawn from so many that are nearest to the question."""

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Lesson:
    """The options of a question, its own first, and what the teachers say of each.

    ``scores`` (O,) are means over the teachers, each a log-probability among the question's own options; of other
    options they tell how these would stand among them, and may be above 0.
    """

    options: tuple[str, ...]
    scores: Floats


def lessons(
    examples: Sequence[Example], teachers: Sequence[str], others: int, seed: int
) -> Mapping[str, Lesson]:
    """Query id → lesson, for the examples that have options and no passage.

    Args:
        teachers: folders of choice models, or "builtin".
        others: options of other questions for each.
    """
    asked = [e for e in examples if e.choice is not None and not e.positives]
    if not asked or not teachers:
        return {}
    drawn = _others(asked, others, seed) if others else [()] * len(asked)
    options = [(*e.query.choices, *more) for e, more in zip(asked, drawn, strict=True)]
    said = np.zeros((len(teachers), sum(map(len, options))), dtype=np.float32)
    for row, teacher in enumerate(teachers):
        said[row] = _scores(teacher, [e.query.text for e in asked], options)
    found, at = {}, 0
    for example, mine in zip(asked, options, strict=True):
        scores = said[:, at : at + len(mine)]
        own = np.logaddexp.reduce(scores[:, : len(example.query.choices)], axis=1, keepdims=True)
        found[example.query.id] = Lesson(mine, (scores - own).mean(axis=0))
        at += len(mine)
    return found


def _others(asked: Sequence[Example], count: int, seed: int) -> list[tuple[str, ...]]:
    """For each example ``count`` options that are not its own, drawn from those nearest to the question."""
    pool = sorted({option for e in asked for option in e.query.choices})
    place = {option: n for n, option in enumerate(pool)}
    encoder: Encoder = build("encoders", {**Config().encoder.options(), "truncate": True})
    vectors = encoder.encode_passages(pool)
    rng, found = np.random.default_rng(seed), []
    for first in range(0, len(asked), _AT_ONCE):
        few = asked[first : first + _AT_ONCE]
        for example, near in zip(
            few, encoder.encode_queries([e.query.text for e in few]) @ vectors.T, strict=True
        ):
            near[[place[option] for option in example.query.choices]] = -np.inf
            free = len(pool) - len(set(example.query.choices))
            nearest = np.argsort(-near, kind="stable")[: min(_NEAR, free)]
            found.append(tuple(pool[n] for n in rng.permutation(nearest)[:count]))
    return found


def _scores(teacher: str, questions: Sequence[str], options: Sequence[Sequence[str]]) -> list[float]:
    """What a teacher says of every option of every question, one after the other."""
    folder = folder_of("choice", teacher)
    tokenizer = load_tokenizer(backbone_of(folder))
    windower = Windower.of(tokenizer)
    texts = sorted({*questions, *(option for mine in options for option in mine)})
    ids = dict(zip(texts, token_ids(tokenizer, texts), strict=True))
    nothing = np.zeros(0, dtype=np.int64)
    windows = [
        option_windows(windower, ids[question], ids[option], nothing)[0]
        for question, mine in zip(questions, options, strict=True)
        for option in mine
    ]
    return window_scores(open_runtime("choice", folder, "auto", "auto"), windows, windower)
