"""``finetune_reader``: data → split by document → hard negatives → training → a folder that the reader loads."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from ragqa import backbone, checkpoints, devices, plugins, pretrained
from ragqa.analysis import terms
from ragqa.config import Config
from ragqa.data import squad
from ragqa.errors import ConfigError, TrainingError
from ragqa.evaluation.answers import exact_match, f1
from ragqa.models.span import SpanModel, freeze, overlay
from ragqa.spans import best_spans
from ragqa.training.allocator import keep_freed_memory
from ragqa.training.calibrating import UNANSWERABLE_SHARE, MemoryRetriever, Retrieved, calibrate, retrieve_for
from ragqa.training.mining import distinct_passages, with_hard_negatives
from ragqa.training.objectives.span import SpanObjective
from ragqa.training.trainer import Schedule, Trainer
from ragqa.types import Example
from ragqa.windows import load_tokenizer, pad, tokenize

Report = Callable[[dict[str, Any]], None]


class ScheduleConfig(BaseModel):
    """See ``ragqa.training.trainer.Schedule``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(2, ge=1)
    max_steps: int | None = Field(None, ge=1, description="end (and decay the learning rate) earlier")
    batch_groups: int = Field(32, ge=1)
    learning_rate: float = Field(2.5e-4, gt=0)
    head_learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup_share: float = Field(0.06, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0)
    seed: int = 13
    checkpoint_minutes: float = Field(5.0, gt=0)
    validate_steps: int = Field(1000, ge=1)


class ReaderRun(BaseModel):
    """Everything that decides a training run of the reader; one YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(description="SQuAD JSON with the training questions")
    lexical_data: Path | None = Field(
        None,
        description="SQuAD JSON in Chinese, to calibrate the lexical answers; without it the shipped ones stay",
    )
    output: Path = Field(Path("runs/reader"), description="folder for checkpoints, metrics and the model")
    backbone: str = Field("builtin", description="builtin, or a Hugging Face folder")
    start_from: str | None = Field(
        None, description="the reader to go on from: builtin or a folder; without it the heads begin fresh"
    )
    freeze: tuple[str, ...] = Field(
        ("encoder.embeddings.word_embeddings.",), description="parameters that stay as they are, by prefix"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    held_out_documents: int = Field(20, ge=1, description="documents kept for validation and calibration")
    held_out_seed: int = Field(13, description="which documents; keep it when going on from a reader")
    validation_questions: int = Field(600, ge=1)
    hard_negatives: int = Field(4, ge=0, description="negatives mined for each question")
    hard_negative_share: float = Field(0.2, ge=0, le=1)
    unanswerable_share: float = Field(0.05, ge=0, le=1)
    calibration_questions: int = Field(2000, ge=50, description="at most so many held-out questions")
    max_refused: float = Field(
        0.04, ge=0, lt=1, description="answerable questions the operating point may refuse"
    )
    storage: Literal["float32", "float16", "int8"] = "int8"
    schedule: ScheduleConfig = ScheduleConfig()


def load_run(path: Path) -> ReaderRun:
    """The run that a YAML file describes.

    Raises:
        ConfigError: unreadable, or a setting that does not fit.
    """
    try:
        return ReaderRun.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise ConfigError(
            f"cannot read {path}: {' '.join(str(fault).split())}", accepted="a YAML file"
        ) from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(
            f"{path}: {where}: {first['msg']}", accepted=", ".join(ReaderRun.model_fields)
        ) from None


def split_by_document(
    examples: Sequence[Example], held_out: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Training and held-out examples that share no document.

    Raises:
        TrainingError: too few documents to hold any out.
    """
    documents = sorted({e.positives[0].doc_id for e in examples if e.positives})
    if held_out >= len(documents):
        raise TrainingError(
            f"{len(documents)} documents, of which {held_out} should be held out",
            accepted="fewer held-out documents than there are",
            next_step="held_out_documents: 1",
        )
    random.Random(seed).shuffle(documents)
    kept = set(documents[:held_out])
    inside = [e for e in examples if e.positives and e.positives[0].doc_id in kept]
    outside = [e for e in examples if e.positives and e.positives[0].doc_id not in kept]
    return outside, inside


def finetune_reader(run: ReaderRun, *, resume: bool, report: Report) -> Path:
    """Train a span reader and write it to ``run.output/model``; returns that folder.

    Killed at any point, ``resume`` continues from the last checkpoint to the same weights.
    """
    keep_freed_memory()
    examples = _load(run.data, report)
    training, held_out = split_by_document(examples, run.held_out_documents, run.held_out_seed)
    report({"training_questions": len(training), "held_out_questions": len(held_out)})
    if run.hard_negatives:
        passages = distinct_passages(examples)
        index = plugins.build("indexes", {"name": "bm25"})
        index.add([terms(p.titled_text) for p in passages])
        training = list(with_hard_negatives(training, passages, index, run.hard_negatives))
    torch.manual_seed(run.schedule.seed)
    model, start = _initial(run)
    freeze(model, run.freeze)
    objective = SpanObjective(
        load_tokenizer(backbone.resolve(run.backbone)),
        hard_negative_share=run.hard_negative_share,
        unanswerable_share=run.unanswerable_share,
    )
    random.Random(run.held_out_seed).shuffle(held_out)
    validation = held_out[: run.validation_questions]
    trainer = Trainer(
        model,
        objective,
        training,
        Schedule(**run.schedule.model_dump()),
        run.output,
        dtype=torch.bfloat16 if devices.choose_precision("auto", "cpu") == "bf16" else torch.float32,
        validate=lambda m: span_scores(m, objective, validation)[1],
        report=report,
    )
    if start and not resume:
        report({"validation_before": round(trainer.score(), 4)})
    best = trainer.train(resume=resume)
    report({"best_validation_f1": best})
    target = run.output / "model"
    config = {"kind": "span", "backbone": run.backbone, "best_validation_f1": round(best, 4)}
    # What this run froze but the earlier one had trained belongs to the model, too.
    trained = {**start, **checkpoints.load_tensors(run.output / "best.safetensors")}
    checkpoints.save(target, trained, config, run.storage)
    (target / "run.json").write_text(
        json.dumps(run.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8"
    )
    calibrate_reader(run, target, report)
    return target


def _initial(run: ReaderRun) -> tuple[SpanModel, dict[str, Tensor]]:
    """The model that training begins with, and the tensors in which it differs from its backbone.

    Raises:
        TrainingError: the reader to go on from has another backbone.
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
    tensors = checkpoints.load(earlier)
    overlay(model, tensors, earlier)
    return model, tensors


def calibrate_reader(run: ReaderRun, folder: Path, report: Report) -> None:
    """Fit the calibration of the reader in ``folder`` on the held-out documents of ``run``."""
    examples = _load(run.data, report)
    _, held_out = split_by_document(examples, run.held_out_documents, run.held_out_seed)
    spans = _retrieved(held_out, examples, run)
    lexical = []
    if run.lexical_data:
        chinese = _load(run.lexical_data, report)
        lexical = _retrieved(chinese, chinese, run)
    values = calibrate(folder, spans, lexical, run.max_refused)
    report(
        {"retrieval_weight": values["retrieval_weight"], "threshold": round(values["span"]["threshold"], 4)}
    )


def _load(path: Path, report: Report) -> list[Example]:
    return squad.load(path, on_bad=lambda fault: report({"left out": str(fault)}))


def _retrieved(asked: Sequence[Example], everything: Sequence[Example], run: ReaderRun) -> list[Retrieved]:
    config = Config()
    chosen = list(asked)
    random.Random(run.schedule.seed).shuffle(chosen)
    retriever = MemoryRetriever(distinct_passages(everything), config)
    return retrieve_for(
        chosen[: run.calibration_questions], retriever, config.top_k, UNANSWERABLE_SHARE, run.schedule.seed
    )


def span_scores(
    model: nn.Module, objective: SpanObjective, examples: Sequence[Example]
) -> tuple[float, float]:
    """Exact match and F1 with each question's own passage, means over ``examples``."""
    exact = overlap = 0.0
    ordered = sorted(examples, key=lambda e: len(e.positives[0].text))
    for at in range(0, len(ordered), 32):
        batch = ordered[at : at + 32]
        for example, prediction in zip(batch, _predict(model, objective, batch), strict=True):
            exact += exact_match(prediction, example.answers)
            overlap += f1(prediction, example.answers)
    return exact / len(examples), overlap / len(examples)


def _predict(model: nn.Module, objective: SpanObjective, batch: Sequence[Example]) -> list[str]:
    passages = [e.positives[0] for e in batch]
    tokenizer, windower = objective.tokenizer, objective.windower
    queries = tokenize(tokenizer, [e.query.text for e in batch])
    titles = tokenize(tokenizer, [p.title for p in passages])
    texts = tokenize(tokenizer, [p.text for p in passages])
    cut = [
        list(windower.windows(q.ids, t.ids, x.ids)) for q, t, x in zip(queries, titles, texts, strict=True)
    ]
    flat = [window for windows in cut for window in windows]
    ids, mask, kinds, answerable = pad(flat, windower)
    start, end = (scores.numpy() for scores in model(*map(torch.from_numpy, (ids, mask, kinds))))
    found, row = [], 0
    for windows, text, passage in zip(cut, texts, passages, strict=True):
        rows = slice(row, row + len(windows))
        row += len(windows)
        owners = [0] * len(windows)
        spans = best_spans(start[rows], end[rows], answerable[rows], windows, owners, [text]).spans
        found.append(passage.text[spans[0].start : spans[0].end] if spans else "")
    return found
