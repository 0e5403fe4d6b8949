"""The choice model: which of the options is right, read with the passage where there is one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ragqa import backbone
from ragqa.choices import PASSAGE_ONCE
from ragqa.data.faults import OnBad
from ragqa.errors import DataError
from ragqa.evaluation.classes import accuracy, by_letter, confusion
from ragqa.models.choice import ChoiceModel
from ragqa.models.placing import placed
from ragqa.pretrained import TEMPERATURE, backbone_of
from ragqa.training import checking
from ragqa.training.judging import Comparison, compare
from ragqa.training.objectives.choice import ChoiceObjective, OptionsObjective
from ragqa.training.objectives.shared_passage import SharedPassageObjective
from ragqa.training.options import with_options
from ragqa.training.settings import ChoiceRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import before, goes_on, initial, store
from ragqa.training.task import Report, Task
from ragqa.training.teaching import lessons
from ragqa.types import Example
from ragqa.windows import load_tokenizer

CLASSES = "classes.json"
"""Beside the weights: the confusion matrix and what follows from it for each letter, of the test part, or of the
validation part where nothing was put aside for a test."""

_Answers = Sequence[tuple[Example, np.ndarray[Any, np.dtype[np.float64]]]]
"""Questions with the score of each option, (O,)."""

TEMPERATURES = tuple(round(0.25 * 1.2**step, 3) for step in range(16))
_ROWS = 96
"""Options with a passage, or a piece of one, that are judged at once."""


def examples(run: ChoiceRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``; one that has an answer and no options gets them from its passage."""
    read = checking.readable(run, on_bad)
    found = list(with_options(read, run.options, run.split_seed))
    plain = sum(not e.query.choices and not (e.answers and e.positives) for e in read)
    if plain:
        on_bad(
            DataError(f"{plain} questions have neither options nor an answer that options could stand beside")
        )
    if lost := len(read) - len(found) - plain:
        on_bad(
            DataError(
                f"{lost} questions without options, whose passage does not hold {run.options - 1} others"
            )
        )
    if not found:
        raise DataError(
            f"none of the {len(read)} questions can have options",
            accepted="questions with options, or with answers and passages that hold other phrases as well",
        )
    return found


def task(run: ChoiceRun, split: Split, report: Report) -> Task:
    """The choice model of ``run``."""
    if not run.teachers:
        checking.refuse_given(
            run, ("teacher_share", "other_options"), "there are no teachers", "teachers: [FOLDER]"
        )
    with torch.random.fork_rng(devices=[]):  # a model that is served for the first time draws weights, too
        told = lessons(split.training, run.teachers, run.other_options, run.split_seed, report)
    if told:
        report({"teachers": len(run.teachers), "taught_questions": len(told)})
    model, start = initial(ChoiceModel, run)
    model.read_passages(once=bool(run.passage_once))
    tokenizer = load_tokenizer(backbone.resolve(run.backbone))
    objective: OptionsObjective = _kind(model)(
        tokenizer, smoothing=run.label_smoothing, lessons=told, teacher_share=run.teacher_share
    )
    validation = shuffled(split.validation, run.split_seed)[: run.validation_questions]
    return Task(
        model,
        objective,
        split.training,
        "accuracy",
        lambda m: float(np.mean([p.argmax() == e.choice for e, p in judged(m, objective, validation)])),
        goes_on=goes_on(ChoiceModel, run),
        save=lambda folder, tensors, best: store(
            ChoiceModel,
            run,
            start,
            folder,
            tensors,
            {
                "best_validation_accuracy": round(best, 4),
                **({PASSAGE_ONCE: True} if model.passage_once else {}),
            },
        ),
        finish=partial(_finish, objective, split.validation, report),
        compare=lambda folder: _compare(run, objective, split.test, folder),
    )


@torch.inference_mode()
def judged(model: Any, objective: OptionsObjective, examples: Sequence[Example]) -> _Answers:
    """Each question that has a right option, with the score of each option."""
    asked = [e for e in examples if e.choice is not None]
    objective.prepare(asked)
    rng = np.random.default_rng(0)
    groups = [g for e in asked if (g := objective.group(e, rng)) is not None]
    found: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for batch in _batches(groups):
        scores = objective.scores(model, objective.collate(batch)).double().numpy()
        told = [e for g in batch for e in g.examples]
        ends = np.cumsum([len(e.query.choices) for e in told])[:-1]
        found |= dict(zip(map(id, told), np.split(scores, ends), strict=True))
    return [(e, found[id(e)]) for e in asked]


def _batches(groups: Sequence[Any]) -> Iterator[list[Any]]:
    """In their order, with at most so many rows; a group that has more stands alone."""
    batch: list[Any] = []
    for group in groups:
        if batch and sum(g.rows for g in batch) + group.rows > _ROWS:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def scoring(model: ChoiceModel, folder: Path) -> OptionsObjective:
    """How the options are laid out for ``model``, which ``folder`` holds."""
    return _kind(model)(load_tokenizer(backbone_of(folder)))


def _kind(model: ChoiceModel) -> type[OptionsObjective]:
    return SharedPassageObjective if model.passage_once else ChoiceObjective


def _finish(objective: OptionsObjective, held_out: Sequence[Example], report: Report, folder: Path) -> None:
    """Fit the temperature of the confidence (Guo et al. 2017) and store what each letter's questions gave."""
    answers = judged(placed(ChoiceModel.load(folder)), objective, held_out)
    losses = {t: _mean_loss(answers, t) for t in TEMPERATURES}
    temperature = min(TEMPERATURES, key=lambda t: losses[t])
    (folder / TEMPERATURE).write_text(json.dumps({"temperature": temperature}) + "\n", encoding="utf-8")
    matrix = _confusion(answers)
    _store_classes(folder, "validation", matrix)
    report({"temperature": temperature, "accuracy": round(accuracy(matrix), 4)})


def _confusion(answers: _Answers) -> np.ndarray[Any, np.dtype[np.int64]]:
    gold = [int(e.choice or 0) for e, _ in answers]
    said = [int(scores.argmax()) for _, scores in answers]
    return confusion(gold, said, max(len(scores) for _, scores in answers))


def _store_classes(folder: Path, part: str, matrix: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    letters = {
        letter: {name: round(getattr(row, name), 4) for name in ("precision", "recall", "f1", "support")}
        for letter, row in by_letter(matrix).items()
    }
    values = {
        "part": part,
        "accuracy": round(accuracy(matrix), 4),
        "classes": letters,
        "confusion": matrix.tolist(),
    }
    (folder / CLASSES).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _mean_loss(answers: _Answers, temperature: float) -> float:
    found = []
    for example, scores in answers:
        scaled = scores / temperature
        found.append(np.logaddexp.reduce(scaled) - scaled[int(example.choice or 0)])
    return float(np.mean(found))


def _compare(
    run: ChoiceRun, objective: OptionsObjective, test: Sequence[Example], folder: Path
) -> Comparison | None:
    """The stored model beside the one it went on from, or beside the shipped one."""
    asked = [e for e in test if e.choice is not None]
    if not asked:
        return None
    answers = judged(placed(ChoiceModel.load(folder)), objective, asked)
    matrix = _confusion(answers)
    _store_classes(folder, "test", matrix)
    earlier = before(ChoiceModel, run)
    model = ChoiceModel.load(earlier)
    former = judged(placed(model), scoring(model, earlier), asked)
    found = compare({"accuracy": _right(former)}, {"accuracy": _right(answers)}, asked)
    return replace(found, confusion=matrix)


def _right(answers: _Answers) -> list[float]:
    return [float(scores.argmax() == example.choice) for example, scores in answers]
