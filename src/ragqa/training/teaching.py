"""What other choice models say of the options, to be learned beside the labels (Hinton et al. 2015, arXiv:1503.02531).

Several small models together answer better than each of them; one that learns what all of them say keeps most of that.
Since an option is scored by itself, options of other questions can stand beside a question's own: there the teachers
tell more than the label does, that only one is right.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from ragqa import durable
from ragqa.choices import PASSAGE_ONCE, option_windows, token_ids
from ragqa.config import Config
from ragqa.devices import cache_folder
from ragqa.errors import TrainingError
from ragqa.models.choice import ChoiceModel
from ragqa.plugins import build
from ragqa.pretrained import backbone_of, base_digest, folder_of, stored_config
from ragqa.protocols import Encoder
from ragqa.runtimes import open_runtime
from ragqa.runtimes.scoring import window_scores
from ragqa.training.objectives.choice import Lesson
from ragqa.training.task import Report
from ragqa.types import Example, Query
from ragqa.windows import Windower, load_tokenizer

_NEAR = 150
"""Options of other questions are drawn from so many that are nearest to the question."""

_AT_ONCE = 512


def lessons(
    examples: Sequence[Example],
    teachers: Sequence[str],
    other_options: int,
    seed: int,
    report: Report = lambda _: None,
) -> Mapping[Query, Lesson]:
    """Question → lesson, for the examples that have options and no passage.

    What takes minutes is kept in the user's cache folder, for a run that is searched, planned or resumed.

    Args:
        teachers: folders of choice models, or "builtin".
        other_options: options of other questions for each.
        report: is told of each teacher that begins.

    Raises:
        ModelError: a teacher is not there.
        TrainingError: one is a model of another kind, or there is nothing that they could teach.
    """
    if not teachers:
        return {}
    folders = [_folder_of(teacher) for teacher in teachers]
    asked = [e for e in examples if e.choice is not None and not e.positives]
    if not asked:
        raise TrainingError(
            "teachers are named, but every question comes with a passage",
            accepted="teachers for questions that have options and no passage",
        )
    path = _place(asked, folders, other_options, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # of several processes one works it out
        told = _kept(path)
        if told is None:
            told = _told(asked, folders, other_options, seed, report)
            with durable.whole(path) as partial:
                partial.write_text(json.dumps([(one.options, one.scores.tolist()) for one in told]), "utf-8")
    return {example.query: one for example, one in zip(asked, told, strict=True)}


def _place(asked: Sequence[Example], folders: Sequence[Path], other_options: int, seed: int) -> Path:
    """Where the lessons of these questions by these teachers are kept."""
    questions = [(e.query.text, e.query.choices) for e in asked]
    teachers = [[base_digest(folder), _once(folder)] for folder in folders]
    identity = [questions, teachers, other_options, seed, _NEAR]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    return cache_folder() / "lessons" / f"{key}.json"


def _once(folder: Path) -> bool:
    return bool(stored_config(folder).get(PASSAGE_ONCE, False))


def _kept(path: Path) -> list[Lesson] | None:
    try:
        return [
            Lesson(tuple(options), np.array(scores, dtype=np.float32))
            for options, scores in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, TypeError):
        return None


def _told(
    asked: Sequence[Example], folders: Sequence[Path], other_options: int, seed: int, report: Report
) -> list[Lesson]:
    drawn = _others(asked, other_options, seed) if other_options else [()] * len(asked)
    options = [(*e.query.choices, *more) for e, more in zip(asked, drawn, strict=True)]
    questions = [e.query.text for e in asked]
    told = []
    for number, folder in enumerate(folders, 1):
        report({"teacher": f"{number} of {len(folders)}", "options_to_weigh": sum(map(len, options))})
        told.append(_scores(folder, questions, options))
    said = np.array(told)
    found, at = [], 0
    for example, mine in zip(asked, options, strict=True):
        scores = said[:, at : at + len(mine)]
        own = np.logaddexp.reduce(scores[:, : len(example.query.choices)], axis=1, keepdims=True)
        found.append(Lesson(mine, (scores - own).mean(axis=0).astype(np.float32)))
        at += len(mine)
    return found


def _folder_of(teacher: str) -> Path:
    """The folder of a choice model.

    Raises:
        ModelError: it is not there.
        TrainingError: it is a model of another kind.
    """
    folder = folder_of("choice", teacher)
    kind = stored_config(folder).get("kind")
    if kind != ChoiceModel.kind:
        raise TrainingError(
            f"the teacher {teacher} is a model of the kind {kind}",
            accepted="a folder that ragqa finetune choice wrote, or builtin",
        )
    return folder


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


def _scores(folder: Path, questions: Sequence[str], options: Sequence[Sequence[str]]) -> list[float]:
    """What the teacher in ``folder`` says of every option of every question, one after the other."""
    tokenizer = load_tokenizer(backbone_of(folder))
    windower = Windower.of(tokenizer)
    texts = sorted({*questions, *(option for mine in options for option in mine)})
    ids = dict(zip(texts, token_ids(tokenizer, texts), strict=True))
    nothing = np.zeros(0, dtype=np.int64)
    windows = [
        option_windows(windower, ids[question], ids[option], nothing, passage_once=_once(folder))[0]
        for question, mine in zip(questions, options, strict=True)
        for option in mine
    ]
    return window_scores(open_runtime("choice", folder, "auto", "auto"), windows, windower)
