"""A small search before a run: several learning rates on the first steps, each judged on the held-out questions."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from ragqa import durable
from ragqa.errors import TrainingError
from ragqa.training.allocator import freed_memory_kept
from ragqa.training.resuming import FREE
from ragqa.training.run import estimate, prepare
from ragqa.training.run_folder import (
    CHOSEN,
    LAST,
    RATES,
    alone,
    chosen,
    disk_named,
    diverged,
    keep_chosen,
    require_folder,
    set_aside,
)
from ragqa.training.schedule import Schedule
from ragqa.training.settings import Run
from ragqa.training.task import Report
from ragqa.training.trainer import Trainer
from ragqa.training.workers import Workers

SPREAD = 4.0
"""The rates lie between the usual one divided and multiplied by this, evenly in their logarithm."""

STEPS = (20, 200)
"""A try takes a tenth of the run's steps, but not fewer or more than these."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One try: its learning rates, and how well it did on the held-out questions after ``steps`` steps."""

    learning_rate: float
    head_learning_rate: float
    steps: int
    score: float


def rates(usual: float, tries: int) -> list[float]:
    """``tries`` learning rates around the usual one and with it, rising; of an even number fewer are higher."""
    odd = tries + 1 - tries % 2
    return [round(float(usual * factor), 8) for factor in np.geomspace(1 / SPREAD, SPREAD, odd)[:tries]]


def settled(run: Run, tries: int | None, report: Report, *, resume: bool) -> tuple[Run, list[Tried]]:
    """``run`` with the schedule that ``tries`` tries chose, now or before it was cut, and the tries made now.

    A run that is resumed goes on with what was chosen, or with the rates that are given where that led to no number,
    and validates and saves as often as is said now; one that has begun without a search is not searched.

    Raises:
        TrainingError: see ``search``.
    """
    require_folder(run.output)
    if resume and (schedule := chosen(run.output)) is not None:
        changed = FREE | RATES if diverged(run.output) else FREE
        given = {name: value for name, value in run.given_schedule.items() if name in changed}
        return run.model_copy(update={"schedule": schedule.model_copy(update=given)}), []
    begun = resume and (run.output / LAST).is_file()
    return (run, []) if begun or tries is None else search(run, tries, report)


def plan_search(run: Run, tries: int, report: Report) -> None:
    """Report what a run and the search before it would do and how long both would take, without training.

    Raises:
        TrainingError: fewer than two tries.
    """
    _require_tries(tries)
    first = prepare(run, report)
    pace, steps = estimate(first, report), _steps(first.trainer.steps)
    minutes = tries * pace.minutes(steps, 1)  # each try is judged once, at its end
    report({"search": tries, "steps_each": steps, "estimated_minutes": round(minutes, 1)})


def _require_tries(tries: int) -> None:
    if tries < 2:
        raise TrainingError(f"--search {tries}", accepted="2 or more settings to try")


def _steps(whole: int) -> int:
    """Of one try, where the run has so many."""
    return min(whole, max(STEPS[0], min(STEPS[1], whole // 10)))


def search(run: Run, tries: int, report: Report) -> tuple[Run, list[Tried]]:
    """Try ``tries`` learning rates, in folders below ``run.output``; the run with the best of them, and all.

    The head's rate keeps its ratio to the encoder's. A try whose loss is no number scores nothing.

    Raises:
        TrainingError: fewer than two tries; the disk fails.
    """
    _require_tries(tries)
    with disk_named(run.output), alone(run.output) if Workers.joined().first else nullcontext():
        return _search(run, tries, Workers.joined().voice(report))


def _search(run: Run, tries: int, report: Report) -> tuple[Run, list[Tried]]:
    first = prepare(run, report)
    estimate(first, report)
    usual, steps = first.schedule, _steps(first.trainer.steps)
    start = {name: weight.clone() for name, weight in first.trainer.weights.state().items()}
    first.trainer.report = lambda _: None
    found = []
    if Workers.joined().first:  # what an earlier run in this folder left
        set_aside(run.output, report)
        for name in (CHOSEN, LAST):
            (run.output / name).unlink(missing_ok=True)
    for number, rate in enumerate(rates(usual.learning_rate, tries), 1):
        schedule = _schedule(usual, rate, steps)
        first.trainer.begin_again(start, schedule, run.output / "search" / str(number))
        found.append(_tried(first.trainer, schedule, number, report))
    best = max(found, key=lambda one: one.score)
    found_rates = {"learning_rate": best.learning_rate, "head_learning_rate": best.head_learning_rate}
    schedule = usual.model_copy(update=found_rates)
    if Workers.joined().first:
        keep_chosen(schedule, run.output)
    return run.model_copy(update={"schedule": schedule}), found


def _schedule(usual: Schedule, rate: float, steps: int) -> Schedule:
    head = round(usual.head_learning_rate * rate / usual.learning_rate, 8)
    return usual.model_copy(
        update={
            "learning_rate": rate,
            "head_learning_rate": head,
            "max_steps": steps,
            "validate_steps": steps,
            "patience": None,
        }
    )


def _tried(trainer: Trainer, schedule: Schedule, number: int, report: Report) -> Tried:
    try:
        with freed_memory_kept():
            score = trainer.train(resume=False)
    except TrainingError as fault:  # a rate so high that the loss is no number
        report({"search": number, "failed": fault.found.partition(";")[0]})
        score = float("-inf")
    if Workers.joined().first:
        durable.remove(trainer.folder)  # only its score is needed
    tried = Tried(schedule.learning_rate, schedule.head_learning_rate, schedule.max_steps or 0, score)
    report({"search": number, "learning_rate": tried.learning_rate, "score": round(score, 4)})
    return tried


def table(tried: Sequence[Tried], measure: str) -> list[str]:
    """One line for each try, the best one marked."""
    best = max(tried, key=lambda one: one.score)
    lines = [f"{'learning rate':>14}{'of the head':>14}{'steps':>7}  {measure}"]
    for one in tried:
        score = f"{100 * one.score:.2f}" if np.isfinite(one.score) else "no number"
        mark = "  ← taken" if one is best else ""
        lines.append(f"{one.learning_rate:14.2e}{one.head_learning_rate:14.2e}{one.steps:7}  {score}{mark}")
    return lines
