"""The span reader: hard negatives, a folder that ``readers/extractive.py`` loads, its calibration."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ragqa import backbone, data, pretrained
from ragqa.config import Config
from ragqa.data import distinct_passages
from ragqa.data.faults import OnBad
from ragqa.errors import DataError, TrainingError
from ragqa.literacy import Literacy
from ragqa.models.placing import placed
from ragqa.models.span import SpanModel, load_span
from ragqa.training import checking
from ragqa.training.calibrating import (
    UNANSWERABLE_SHARE,
    Retrieved,
    calibrate,
    keep_calibration,
    retrieve_for,
)
from ragqa.training.judging import Comparison, compare, mean_f1, reading_scores
from ragqa.training.mining import mined, searched
from ragqa.training.objectives.span import SpanObjective
from ragqa.training.retrieval import MemoryRetriever
from ragqa.training.settings import ReaderRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import before, goes_on, initial, store
from ragqa.training.task import Report, Task
from ragqa.types import Example
from ragqa.windows import load_tokenizer

LEAST_TO_CALIBRATE = 100
"""Answerable validation questions below which the confidence of the reader before it is kept."""


def examples(run: ReaderRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``.

    Raises:
        DataError: they, or those of ``lexical_data``, which are read at the end of a run, are not there.
    """
    if run.lexical_data is not None and not run.lexical_data.exists():
        raise DataError(
            f"lexical_data: {run.lexical_data} is not there",
            accepted="questions in Chinese",
            next_step="leave it out, and the shipped confidence of Chinese answers stays",
        )
    return checking.readable(run, on_bad, Literacy.understands)


def task(run: ReaderRun, split: Split, report: Report) -> Task:
    """The reader of ``run``.

    Raises:
        TrainingError: the reader to go on from has another backbone, or only adds to a third.
    """
    model, start = initial(SpanModel, run)
    tokenizer = load_tokenizer(backbone.resolve(run.backbone))
    objective = SpanObjective(
        tokenizer,
        hard_negative_share=run.hard_negative_share,
        unanswerable_share=run.unanswerable_share,
        smoothing=run.label_smoothing,
    )
    validation = shuffled([e for e in split.validation if e.answers], run.split_seed)
    return Task(
        model,
        objective,
        mined(split, searched(split, run.mining), run.hard_negatives, run.mining, report)
        if run.hard_negatives
        else split.training,
        "F1",
        lambda m: mean_f1(m, tokenizer, validation[: run.validation_questions]),
        goes_on=goes_on(SpanModel, run),
        save=lambda folder, tensors, best: store(
            SpanModel, run, start, folder, tensors, {"best_validation_f1": round(best, 4)}
        ),
        finish=lambda folder: _calibrated(run, split, folder, report),
        compare=lambda folder: _compare(run, split, tokenizer, folder),
    )


def _compare(run: ReaderRun, split: Split, tokenizer: Tokenizer, folder: Path) -> Comparison | None:
    """The trained reader, as it was stored, beside the one before it, on the answerable questions of the test part."""
    asked = [e for e in split.test if e.answers]
    if not asked:
        return None
    earlier = before(SpanModel, run)
    other = load_tokenizer(pretrained.backbone_of(earlier))
    return compare(
        reading_scores(placed(load_span(earlier)), other, asked),
        reading_scores(placed(load_span(folder)), tokenizer, asked),
        asked,
    )


def _calibrated(run: ReaderRun, split: Split, folder: Path, report: Report) -> None:
    """Fit the calibration of the new reader in ``folder``, or give it that of the one before."""
    count = _answerable(split)
    if count < LEAST_TO_CALIBRATE:
        keep_calibration(folder, before(SpanModel, run))
        kept = run.start_from if goes_on(SpanModel, run) else "builtin"
        report({"confidence": f"that of {kept}: {count} validation questions are too few to fit one"})
        return
    fit_calibration(run, split, folder, report)


def _answerable(split: Split) -> int:
    return sum(bool(e.answers) for e in split.validation)


def fit_calibration(run: ReaderRun, split: Split, folder: Path, report: Report) -> None:
    """Fit the calibration of the reader in ``folder`` on the validation documents.

    Raises:
        TrainingError: they have too few answerable questions; what the reader has stays.
    """
    if (count := _answerable(split)) < LEAST_TO_CALIBRATE:
        raise TrainingError(
            f"{count} answerable validation questions are too few to fit a confidence",
            accepted=f"{LEAST_TO_CALIBRATE} or more",
            next_step="more questions, or more validation_documents in the --config",
        )
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
    chosen = shuffled([e for e in asked if e.answer_known], run.split_seed)[: run.calibration_questions]
    retriever = MemoryRetriever(distinct_passages(everything), config)
    return retrieve_for(chosen, retriever, config.top_k, UNANSWERABLE_SHARE, run.split_seed)
