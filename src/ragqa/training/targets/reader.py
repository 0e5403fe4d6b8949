"""The span reader: hard negatives, a folder that ``readers/extractive.py`` loads, its calibration."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ragqa import backbone, checkpoints, data, pretrained
from ragqa.config import Config
from ragqa.data import distinct_passages
from ragqa.errors import TrainingError
from ragqa.models.loading import overlay
from ragqa.models.span import SpanModel, load_span, load_tuned
from ragqa.training.calibrating import (
    UNANSWERABLE_SHARE,
    MemoryRetriever,
    Retrieved,
    calibrate,
    keep_calibration,
    retrieve_for,
)
from ragqa.training.judging import Comparison, compare, mean_f1, reading_scores
from ragqa.training.mining import mined
from ragqa.training.objectives.span import SpanObjective
from ragqa.training.settings import ReaderRun
from ragqa.training.splitting import Split
from ragqa.training.task import Report, Task
from ragqa.types import Example
from ragqa.windows import load_tokenizer

LEAST_TO_CALIBRATE = 100
"""Answerable validation questions below which the confidence of the reader before it is kept."""


def task(run: ReaderRun, split: Split, report: Report) -> Task:
    """The reader of ``run``.

    Raises:
        TrainingError: the reader to go on from has another backbone, or only adds to a third.
    """
    model, start = _initial(run)
    objective = SpanObjective(
        load_tokenizer(backbone.resolve(run.backbone)),
        hard_negative_share=run.hard_negative_share,
        unanswerable_share=run.unanswerable_share,
    )
    validation = shuffled([e for e in split.validation if e.answers], run.split_seed)
    return Task(
        model,
        objective,
        mined(split, run.hard_negatives, report),
        "F1",
        lambda m: mean_f1(m, objective, validation[: run.validation_questions]),
        bool(start),
        save=partial(_save, run, start),
        finish=lambda folder: fit_calibration(run, split, folder, report),
        compare=lambda folder: _compare(run, split, objective, folder),
    )


def _initial(run: ReaderRun) -> tuple[SpanModel, dict[str, Tensor]]:
    """The model that training begins with, and the tensors in which it differs from its backbone."""
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
    added = pretrained.stored_config(earlier).get("tuning")
    if added is not None:
        raise TrainingError(
            f"the reader {run.start_from} only adds {added['name']} to another one",
            accepted="a reader that was trained in full",
            next_step=f"go on from {pretrained.stored_config(earlier).get('base', {}).get('reader', 'the backbone')}",
        )
    tensors = checkpoints.load(earlier)
    overlay(model, tensors, earlier)
    return model, tensors


def _save(
    run: ReaderRun, start: Mapping[str, Tensor], target: Path, tensors: Mapping[str, Tensor], best: float
) -> None:
    """The trained tensors: full tuning stores a whole reader, the others what they add and to which one."""
    config: dict[str, Any] = {"kind": "span", "backbone": run.backbone, "best_validation_f1": round(best, 4)}
    if run.tuning.name == "full":
        # What this run froze but the earlier one had trained belongs to the model, too.
        checkpoints.save(target, {**start, **tensors}, config, run.storage or "int8")
        return
    config["tuning"] = run.tuning.options()
    if run.start_from is not None:
        folder = pretrained.reader_folder(run.start_from)
        reader = run.start_from if run.start_from == "builtin" else str(folder.resolve())
        config["base"] = {"reader": reader, "digest": pretrained.base_digest(folder)}
    checkpoints.save(target, tensors, config, run.storage or "float32")
    model, tuning = load_tuned(target)
    tuning.export(model, target / "peft")


def _compare(run: ReaderRun, split: Split, objective: SpanObjective, folder: Path) -> Comparison | None:
    """The trained reader, as it was stored, beside the one before it, on the answerable questions of the test part."""
    asked = [e for e in split.test if e.answers]
    if not asked:
        return None
    before = pretrained.reader_folder(run.start_from or "builtin")
    other = SpanObjective(load_tokenizer(pretrained.backbone_of(before)))
    return compare(
        reading_scores(load_span(before), other, asked), reading_scores(load_span(folder), objective, asked)
    )


def fit_calibration(run: ReaderRun, split: Split, folder: Path, report: Report) -> None:
    """Fit the calibration of the reader in ``folder`` on the validation documents, or keep the one before."""
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
        chinese = data.read(run.lexical_data, on_bad=lambda fault: report({"left out": str(fault)}))
        lexical = _retrieved(chinese, chinese, run)
    values = calibrate(folder, spans, lexical, run.max_refused)
    report(
        {"retrieval_weight": values["retrieval_weight"], "threshold": round(values["span"]["threshold"], 4)}
    )


def _retrieved(asked: Sequence[Example], everything: Sequence[Example], run: ReaderRun) -> list[Retrieved]:
    config = Config()
    chosen = shuffled(asked, run.split_seed)[: run.calibration_questions]
    retriever = MemoryRetriever(distinct_passages(everything), config)
    return retrieve_for(chosen, retriever, config.top_k, UNANSWERABLE_SHARE, run.split_seed)


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples in an order that only ``seed`` decides."""
    found = list(examples)
    random.Random(seed).shuffle(found)
    return found
