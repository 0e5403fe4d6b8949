"""``finetune_reader``: data → split by document → hard negatives → training → a folder that the reader loads."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragqa import backbone, checkpoints, data, devices, plugins, pretrained
from ragqa.analysis import terms
from ragqa.config import Config
from ragqa.errors import TrainingError
from ragqa.models.span import SpanModel, freeze, load_span, load_tuned, overlay
from ragqa.protocols import Tuning
from ragqa.training import checking
from ragqa.training.allocator import keep_freed_memory
from ragqa.training.calibrating import (
    UNANSWERABLE_SHARE,
    MemoryRetriever,
    Retrieved,
    calibrate,
    keep_calibration,
    retrieve_for,
)
from ragqa.training.card import model_card
from ragqa.training.judging import Comparison, compare, mean_f1
from ragqa.training.mining import distinct_passages, with_hard_negatives
from ragqa.training.objectives.span import SpanObjective
from ragqa.training.settings import ReaderRun, ScheduleConfig, schedule_for
from ragqa.training.splitting import Split, by_document
from ragqa.training.trainer import Schedule, Trainer
from ragqa.types import Example
from ragqa.windows import load_tokenizer

LEAST_TO_CALIBRATE = 100
"""Answerable validation questions below which the confidence of the reader before it is kept."""

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """The folder of the trained reader, and how it compares on the test part with the one before it."""

    model: Path
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run before its first step."""

    run: ReaderRun
    schedule: ScheduleConfig
    split: Split
    trainer: Trainer
    objective: SpanObjective
    start: dict[str, Tensor]

    @property
    def full(self) -> bool:
        """Whether the weights themselves are trained, not something beside them."""
        return self.run.tuning.name == "full"


def plan_reader(run: ReaderRun, report: Report) -> None:
    """Report what a run would do and how long it would take, without training."""
    prepared = _prepare(run, report)
    _report_plan(prepared, report)


def finetune_reader(run: ReaderRun, *, resume: bool, report: Report) -> Finished:
    """Train a span reader and write it to ``run.output/model``.

    Killed at any point, ``resume`` continues from the last checkpoint to the same weights.

    Raises:
        DataError, TrainingError: nothing can be learned from the data, or the settings do not fit it.
    """
    prepared = _prepare(run, report)
    _report_plan(prepared, report)
    trainer = prepared.trainer
    if prepared.start and not resume:
        report({"validation_before": round(trainer.score(), 4)})
    best = trainer.train(resume=resume)
    report({"best_validation_f1": round(best, 4)})
    target = run.output / "model"
    _save(prepared, target, best)
    report({"megabytes": round((target / "model.safetensors").stat().st_size / 1e6, 2)})
    resolved = run.model_copy(update={"schedule": prepared.schedule})
    (target / "run.json").write_text(
        json.dumps(resolved.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8"
    )
    _calibrate(run, prepared.split, target, report)
    comparison = _compare(prepared, target)
    (target / "README.md").write_text(
        model_card(run, prepared.schedule, prepared.split, best, comparison), encoding="utf-8"
    )
    return Finished(target, comparison)


def calibrate_reader(run: ReaderRun, folder: Path, report: Report) -> None:
    """Fit the calibration of the reader in ``folder`` on the validation documents of ``run``."""
    _calibrate(run, _split(run, report), folder, report)


def _prepare(run: ReaderRun, report: Report) -> _Prepared:
    keep_freed_memory()
    split = _split(run, report)
    checking.require_signal(split.training)
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    goes_on = run.start_from is not None
    schedule = run.schedule or schedule_for(len(split.training), goes_on=goes_on, rate=tuning.rate)
    torch.manual_seed(schedule.seed)
    model, start = _initial(run)
    tuning.apply(model)
    freeze(model, run.freeze)
    report({"tuning": run.tuning.name, **_trained_share(model)})
    objective = SpanObjective(
        load_tokenizer(backbone.resolve(run.backbone)),
        hard_negative_share=run.hard_negative_share,
        unanswerable_share=run.unanswerable_share,
    )
    validation = _shuffled([e for e in split.validation if e.answers], run.split_seed)
    trainer = Trainer(
        model,
        objective,
        _with_negatives(run, split, report),
        Schedule(**schedule.model_dump()),
        run.output,
        dtype=torch.bfloat16 if devices.choose_precision("auto", "cpu") == "bf16" else torch.float32,
        validate=lambda m: mean_f1(m, objective, validation[: run.validation_questions]),
        report=report,
    )
    return _Prepared(run, schedule, split, trainer, objective, start)


def _trained_share(model: nn.Module) -> dict[str, Any]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained = sum(size for size, trains in sizes if trains)
    share = 100 * trained / sum(size for size, _ in sizes)
    return {"trained_parameters": trained, "percent": round(share, 3)}


def _save(prepared: _Prepared, target: Path, best: float) -> None:
    """The trained tensors: full tuning stores a whole reader, the others what they add and to which one."""
    run = prepared.run
    tensors = checkpoints.load_tensors(run.output / "best.safetensors")
    config = {"kind": "span", "backbone": run.backbone, "best_validation_f1": round(best, 4)}
    if prepared.full:
        # What this run froze but the earlier one had trained belongs to the model, too.
        checkpoints.save(target, {**prepared.start, **tensors}, config, run.storage or "int8")
        return
    config["tuning"] = run.tuning.options()
    if run.start_from is not None:
        folder = pretrained.reader_folder(run.start_from)
        reader = run.start_from if run.start_from == "builtin" else str(folder.resolve())
        config["base"] = {"reader": reader, "digest": pretrained.base_digest(folder)}
    checkpoints.save(target, tensors, config, run.storage or "float32")
    model, tuning = load_tuned(target)
    tuning.export(model, target / "peft")


def _report_plan(prepared: _Prepared, report: Report) -> None:
    trainer, schedule = prepared.trainer, prepared.schedule
    seconds = trainer.seconds_per_step()
    report(
        {
            "epochs": schedule.epochs,
            "steps": trainer.steps,
            "batch_groups": schedule.batch_groups,
            "learning_rate": schedule.learning_rate,
            "estimated_minutes": round(trainer.steps * seconds / 60, 1),
        }
    )


def _split(run: ReaderRun, report: Report) -> Split:
    examples = checking.consistent(_load(run.data, report), _left_out(report))
    split = by_document(examples, run.validation_documents, run.test_documents, run.split_seed)
    report(
        {
            "training_questions": len(split.training),
            "validation_questions": len(split.validation),
            "test_questions": len(split.test),
        }
    )
    return split


def _with_negatives(run: ReaderRun, split: Split, report: Report) -> Sequence[Example]:
    """The training part, each question with passages that look right and are not: its own first, then mined ones."""
    if not run.hard_negatives:
        return split.training
    report({"stage": "mining hard negatives"})
    passages = distinct_passages([*split.training, *split.validation, *split.test])
    index = plugins.build("indexes", {"name": "bm25"})
    index.add([terms(p.titled_text) for p in passages])
    return list(with_hard_negatives(split.training, passages, index, run.hard_negatives))


def _initial(run: ReaderRun) -> tuple[SpanModel, dict[str, Tensor]]:
    """The model that training begins with, and the tensors in which it differs from its backbone.

    Raises:
        TrainingError: the reader to go on from has another backbone, or only adds to a third.
    """
    folder = backbone.resolve(run.backbone)
    model = SpanModel.from_backbone(folder, run.dropout)
    if run.start_from is None:
        return model, {}
    earlier = pretrained.reader_folder(run.start_from)
    if pretrained.backbone_of(earlier) != folder:
        raise TrainingError(
            f"the reader {run.start_from} stands on {pretrained.backbone_of(earlier)}, not on {folder}",
            accepted="a reader of the same backbone",
            next_step="set backbone to that of the reader, or leave start_from out",
        )
    added = pretrained.reader_config(earlier).get("tuning")
    if added is not None:
        raise TrainingError(
            f"the reader {run.start_from} only adds {added['name']} to another one",
            accepted="a reader that was trained in full",
            next_step=f"go on from {pretrained.reader_config(earlier).get('base', {}).get('reader', 'the backbone')}",
        )
    tensors = checkpoints.load(earlier)
    overlay(model, tensors, earlier)
    return model, tensors


def _compare(prepared: _Prepared, folder: Path) -> Comparison | None:
    """The trained reader, as it was stored, beside the one before it, on the answerable questions of the test part."""
    asked = [e for e in prepared.split.test if e.answers]
    if not asked:
        return None
    before = pretrained.reader_folder(prepared.run.start_from or "builtin")
    other = SpanObjective(load_tokenizer(pretrained.backbone_of(before)))
    return compare((load_span(before), other), (load_span(folder), prepared.objective), asked)


def _calibrate(run: ReaderRun, split: Split, folder: Path, report: Report) -> None:
    answerable = sum(bool(e.answers) for e in split.validation)
    if answerable < LEAST_TO_CALIBRATE:
        before = run.start_from or "builtin"
        keep_calibration(folder, pretrained.reader_folder(before))
        report({"confidence": f"that of {before}: {answerable} validation questions are too few to fit one"})
        return
    everything = [*split.training, *split.validation, *split.test]
    spans = _retrieved(split.validation, everything, run)
    lexical = []
    if run.lexical_data:
        chinese = _load(run.lexical_data, report)
        lexical = _retrieved(chinese, chinese, run)
    values = calibrate(folder, spans, lexical, run.max_refused)
    report(
        {"retrieval_weight": values["retrieval_weight"], "threshold": round(values["span"]["threshold"], 4)}
    )


def _load(path: Path, report: Report) -> list[Example]:
    return data.read(path, on_bad=_left_out(report))


def _left_out(report: Report) -> Callable[[Exception], None]:
    return lambda fault: report({"left out": str(fault)})


def _shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    found = list(examples)
    random.Random(seed).shuffle(found)
    return found


def _retrieved(asked: Sequence[Example], everything: Sequence[Example], run: ReaderRun) -> list[Retrieved]:
    config = Config()
    chosen = _shuffled(asked, run.split_seed)[: run.calibration_questions]
    retriever = MemoryRetriever(distinct_passages(everything), config)
    return retrieve_for(chosen, retriever, config.top_k, UNANSWERABLE_SHARE, run.split_seed)
