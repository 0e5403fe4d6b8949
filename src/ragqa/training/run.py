"""``finetune``: data → split by document → training → a folder that serves; the same for every target."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ragqa import backbone, checkpoints, devices, durable, plugins, pretrained
from ragqa.backbone import content_digest
from ragqa.models.placing import placed
from ragqa.protocols import Continual, Tuning
from ragqa.training import checking
from ragqa.training.allocator import freed_memory_kept
from ragqa.training.card import model_card
from ragqa.training.judging import Comparison
from ragqa.training.layers import below_top, freeze, require_head
from ragqa.training.pace import Pace
from ragqa.training.run_folder import (
    BEST,
    CARD,
    CHOSEN,
    MODEL,
    RESOLVED,
    chosen,
    disk_named,
    keep_chosen,
    require_own,
    set_aside,
)
from ragqa.training.schedule import Schedule
from ragqa.training.settings import Run
from ragqa.training.settings.run import HeadedRun
from ragqa.training.splitting import Split, divide
from ragqa.training.starting import PEFT
from ragqa.training.task import Report, Task
from ragqa.training.trainer import Trainer
from ragqa.training.workers import Workers


@dataclass(frozen=True, slots=True)
class Finished:
    """The folder of the trained model, and how it compares on the test part with the one before it."""

    model: Path
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run before its first step, with all that was decided by then."""

    run: Run
    schedule: Schedule
    split: Split
    task: Task
    continual: Continual
    trainer: Trainer

    @property
    def resolved(self) -> str:
        """The settings as JSON, with the schedule and the size of the parts where they left these open."""
        decided = {
            "schedule": self.schedule,
            "validation_documents": self.split.validation_units,
            "test_documents": self.split.test_units,
        }
        unnamed = {
            name: value
            for name, value in decided.items()
            if name in type(self.run).model_fields and not isinstance(getattr(self.run, name), tuple)
        }
        return json.dumps(self.run.model_copy(update=unnamed).model_dump(mode="json"), indent=1) + "\n"

    def minutes(self, pace: Pace) -> float:
        """Of all steps, their validations, and the comparison on the test part.

        That asks both models what a validation asks one, of as many questions as the test part has.
        """
        steps, judged = self.trainer.steps, min(self.run.validation_questions, len(self.split.validation))
        validations = -(-steps // self.trainer.validate_steps)
        return pace.minutes(steps, validations + 2 * len(self.split.test) / judged)


def plan(run: Run, report: Report) -> None:
    """Report what a run would do and how long it would take, without training."""
    estimate(prepare(run, report), report)


def finetune(run: Run, *, resume: bool, report: Report) -> Finished:
    """Train what ``run`` describes and write it to ``run.output/model``.

    Killed at any point, ``resume`` continues from the last checkpoint to the same weights.

    Raises:
        DataError, TrainingError: nothing can be learned from the data, or the settings do not fit it.
    """
    with disk_named(run.output):
        return _finetune(run, resume, report)


def _finetune(run: Run, resume: bool, report: Report) -> Finished:
    workers = Workers.joined()
    report = workers.voice(report)
    prepared = prepare(run, report)
    run, task, trainer = prepared.run, prepared.task, prepared.trainer
    if resume:
        trainer.go_on()
        if workers.first and chosen(run.output) is not None:
            keep_chosen(prepared.schedule, run.output)  # with what was given for it to go on, lower rates say
    elif workers.first:
        set_aside(run.output, report)
    if workers.first:
        run.output.mkdir(parents=True, exist_ok=True)
        with durable.whole(run.output / RESOLVED) as settings:
            settings.write_text(prepared.resolved, encoding="utf-8")
    before = None
    if not (resume and trainer.begun):
        pace = estimate(prepared, report)
        if task.goes_on:
            before = pace.score
            report({"validation_before": round(before, 4)})
            trainer.keep(before)
    if not resume and workers.first and chosen(run.output) != prepared.schedule:
        (run.output / CHOSEN).unlink(missing_ok=True)  # of an earlier run: a resumption must not take it
    with freed_memory_kept():
        best = trainer.train(resume=resume)
    report({"best_validation": round(best, 4), "measure": task.measure})
    if best == before:
        report(
            {"kept": "no validation was better than the one before training: the weights stay as they were"}
        )
    target = run.output / MODEL
    if not workers.first:
        return Finished(target, None)
    with durable.whole_folder(target) as partial:
        task.save(partial, checkpoints.load_tensors(run.output / BEST), best)
        report({"megabytes": round(megabytes(partial), 2)})
        (partial / RESOLVED).write_text(prepared.resolved, encoding="utf-8")
        task.finish(partial)
        prepared.continual.end_task(partial)
    comparison = task.compare(target)
    (target / CARD).write_text(
        model_card(run, prepared.schedule, prepared.split, task.measure, best, comparison), encoding="utf-8"
    )
    return Finished(target, comparison)


def megabytes(model: Path) -> float:
    """Of the weights in a folder, without what is there once more for other libraries."""
    weights = (f for f in model.rglob("model.safetensors") if PEFT not in f.relative_to(model).parts)
    return sum(file.stat().st_size for file in weights) / 1e6


def prepare(run: Run, report: Report) -> Prepared:
    """Everything before the first step, reported: questions and trained weights.

    Raises:
        DataError, TrainingError: nothing can be learned from the data, or the settings do not fit it.
    """
    report = Workers.joined().voice(report)
    # torch counts the cores of the machine, and not those that a container may use.
    torch.set_num_threads(min(torch.get_num_threads(), devices.threads()))
    require_own(run.output, [run.backbone, *run.made_from()])
    run = run.settled()
    split = divided(run, report)
    checking.require_signal(split.training, split.validation, run.labels)
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    continual: Continual = plugins.build("continual", run.continual.options())
    schedule = run.schedule_for(len(split.training), tuning.rate)
    torch.manual_seed(schedule.seed)
    task: Task = _target(run).task(run, split, report)
    # Making a model ready for this machine, which happens once, draws weights as well.
    torch.manual_seed(schedule.seed)
    tuning.apply(task.model)
    if run.train_top is not None:
        freeze(task.model, below_top(task.model, run.train_top))
    freeze(task.model, run.freeze)
    if isinstance(run, HeadedRun) and not task.goes_on:
        require_head(task.model)
    report({"tuning": run.tuning.name, **_trained_share(task.model)})
    trainer = Trainer(
        placed(task.model),
        task.objective,
        continual.begin_task(task.model, task.training),
        schedule,
        run.output,
        dtype=torch.bfloat16
        if devices.choose_precision("auto", devices.choose_device("auto")) == "bf16"
        else torch.float32,
        validate=task.validate,
        report=report,
        workers=Workers.joined(),
        continual=continual,
        identity=_identity(run),
    )
    if trainer.unused:
        report({"not_learned": f"{trainer.unused} of {len(trainer.examples)}: too long, or nothing to learn"})
    return Prepared(run, schedule, split, task, continual, trainer)


def estimate(prepared: Prepared, report: Report) -> Pace:
    """Measure a step and a validation, and report the steps and the minutes that all will take."""
    pace, schedule = Pace.of(prepared.trainer), prepared.schedule
    report(
        {
            "epochs": schedule.epochs,
            "steps": prepared.trainer.steps,
            "batch_groups": schedule.batch_groups,
            "learning_rate": schedule.learning_rate,
            "estimated_minutes": round(prepared.minutes(pace), 1),
        }
    )
    return pace


def _target(run: Run) -> Any:
    """The module of ``training/targets`` that trains what ``run`` describes."""
    return import_module(f"ragqa.training.targets.{run.target}")


def _identity(run: Run) -> dict[str, Any]:
    """What must be the same for a run to go on: its settings, its data and its models, but not where they lie."""
    apart = dict.fromkeys(("data", "output", "schedule", "backbone", "start_from", "teachers"), True)
    earlier = getattr(run, "start_from", None)
    made_from = [pretrained.base_digest(pretrained.folder_of(run.target, name)) for name in run.made_from()]
    return {
        **run.model_dump(mode="json", exclude={**apart, "mining": {"config"}}, exclude_defaults=True),
        "data": content_digest(run.files()),
        "models": [backbone.digest(backbone.resolve(run.backbone)), earlier is not None, *made_from],
    }


def _trained_share(model: nn.Module) -> dict[str, Any]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained = sum(size for size, trains in sizes if trains)
    share = 100 * trained / sum(size for size, _ in sizes)
    return {"trained_parameters": trained, "percent": round(share, 3)}


def divided(run: Run, report: Report) -> Split:
    """The questions of ``run``, reported: without those that nothing can be learned from, and in three parts."""
    left_out: Callable[[Exception], None] = lambda fault: report({"left out": str(fault)})  # noqa: E731
    examples = checking.consistent(_target(run).examples(run, left_out), left_out)
    split = divide(examples, run.validation_documents, run.test_documents, run.split_seed, run.hold_out)
    report(
        {
            "training_questions": len(split.training),
            "validation_questions": len(split.validation),
            "test_questions": len(split.test),
        }
    )
    return split
