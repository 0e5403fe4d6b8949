"""Masked-language modelling on the user's own documents; what comes out is a backbone for the other targets."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ragqa import backbone, plugins
from ragqa.config import Config
from ragqa.data.faults import OnBad
from ragqa.discovery import discover
from ragqa.errors import DataError, DocumentError, TrainingError
from ragqa.isolation import LoaderProcess
from ragqa.layout import read_layout
from ragqa.models.loading import overlay
from ragqa.models.masked import MaskedModel
from ragqa.protocols import Splitter, Tuning
from ragqa.training.objectives.masked import MaskedObjective, MaskedText
from ragqa.training.settings import PretrainRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.task import Report, Task
from ragqa.training.whole import store_whole
from ragqa.types import Example, Query
from ragqa.windows import load_tokenizer

_BATCH = 32


def examples(run: PretrainRun, on_bad: OnBad) -> list[Example]:
    """Every passage of the documents under ``run.data``, cut as an index of them would be."""
    config, found = Config(), []
    tokenizer = load_tokenizer(read_layout(backbone.resolve(run.backbone)).transformer)

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(one) for one in tokenizer.encode_batch_fast(list(texts))]

    options = {**config.splitter.options(), "max_passage_tokens": run.max_passage_tokens}
    splitter: Splitter = plugins.build("splitters", options, count_tokens=count_tokens)
    with LoaderProcess(**config.loading.model_dump()) as loader:
        for file in discover(run.data).files:
            try:
                documents = loader.load(file.path, file.doc_id)
            except DocumentError as fault:
                on_bad(DataError(str(fault)))
                continue
            for document in documents:
                for passage in splitter.split(document):
                    found.append(Example(Query("", id=passage.id), positives=(passage,)))
    return found


def task(run: PretrainRun, split: Split, report: Report) -> Task:
    """The encoder of ``run``.

    Raises:
        TrainingError: a tuning whose additions cannot become part of a backbone, or passages beyond its input.
    """
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    if not tuning.folds:
        raise TrainingError(
            f"what {run.tuning.name} adds cannot be folded into a backbone", accepted="full, lora, bitfit"
        )
    folder = backbone.resolve(run.backbone)
    layout = read_layout(folder)
    if run.max_passage_tokens > layout.max_tokens:
        raise TrainingError(
            f"max_passage_tokens is {run.max_passage_tokens}", accepted=f"16 to {layout.max_tokens}"
        )
    tokenizer = load_tokenizer(layout.transformer)
    tokenizer.enable_truncation(run.max_passage_tokens)
    objective = MaskedObjective(tokenizer, share=run.masked_share)
    held_out = shuffled(split.validation, run.split_seed)[: run.validation_questions]
    objective.prepare(held_out)
    rng = np.random.default_rng(run.split_seed)
    texts = [text for e in held_out if (text := objective.group(e, rng)) is not None]
    return Task(
        MaskedModel.from_folder(folder, run.dropout),
        objective,
        split.training,
        "masked words guessed",
        lambda model: guessed(model, objective, texts),
        goes_on=False,
        save=partial(_save, run, folder),
        finish=lambda _: None,
        compare=lambda _: None,
    )


@torch.inference_mode()
def guessed(model: MaskedModel, objective: MaskedObjective, texts: Sequence[MaskedText]) -> float:
    """Share of the hidden words that the model names first."""
    right = hidden = 0
    for at in range(0, len(texts), _BATCH):
        batch = objective.collate(texts[at : at + _BATCH])
        scores = model(batch.ids, batch.mask, batch.kinds, batch.chosen)
        right += int((scores.argmax(1) == batch.words).sum())
        hidden += len(batch.words)
    return right / max(1, hidden)


def _save(run: PretrainRun, source: Path, target: Path, tensors: Mapping[str, Tensor], best: float) -> None:
    model = MaskedModel.from_folder(source, dropout=0.0)
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    tuning.apply(model)
    overlay(model, tensors, target)
    tuning.merge(model)
    store_whole(model.encoder, source, target)
