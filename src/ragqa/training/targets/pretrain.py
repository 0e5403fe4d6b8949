"""Language modelling on the user's own documents; what comes out is a backbone for the other targets.

An encoder guesses hidden words, a causal language model the next ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ragqa import backbone, plugins
from ragqa.config import Config
from ragqa.data.faults import OnBad
from ragqa.errors import DataError, DocumentError, TrainingError
from ragqa.isolation import LoaderProcess
from ragqa.layout import read_layout
from ragqa.models.generator import Generator, is_writer, load_writer_tokenizer
from ragqa.models.masked import MaskedModel
from ragqa.protocols import Splitter, Tuning
from ragqa.training import checking
from ragqa.training.objectives.continuation import ContinuationObjective, TokenRow
from ragqa.training.objectives.masked import MaskedObjective, MaskedText
from ragqa.training.settings import PretrainRun
from ragqa.training.splitting import LEAST_DOCUMENTS, Split, shuffled
from ragqa.training.starting import PEFT, lay_over
from ragqa.training.task import Report, Task
from ragqa.training.whole import store_whole
from ragqa.types import Example, Passage, Query
from ragqa.windows import load_tokenizer

_BATCH = 32


def examples(run: PretrainRun, on_bad: OnBad) -> list[Example]:
    """Every passage of the documents under ``run.data``, cut as an index of them would be.

    Of few documents each passage counts as one, so that some of them can be put aside.
    """
    config, found = Config(), list[Passage]()
    folder = backbone.resolve(run.backbone)
    tokenizer = load_tokenizer(folder if is_writer(folder) else read_layout(folder).transformer)

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(one) for one in tokenizer.encode_batch_fast(list(texts))]

    options = {**config.splitter.options(), "max_passage_tokens": run.max_passage_tokens}
    splitter: Splitter = plugins.build("splitters", options, count_tokens=count_tokens)
    with LoaderProcess(**config.loading.model_dump()) as loader:
        for file in run.documents():
            try:
                documents = loader.load(file.path, file.doc_id)
            except DocumentError as fault:
                on_bad(DataError(str(fault)))
                continue
            for document in documents:
                found += splitter.split(document)
    if not found:
        raise DataError(
            f"no text in {', '.join(map(str, run.data))}",
            accepted="documents of the kinds that ragqa index reads",
        )
    first: dict[str, Passage] = {}
    for passage in found:
        first.setdefault(passage.text, passage)
    if repeated := len(found) - len(first):
        on_bad(DataError(f"{repeated} passages that an earlier one repeats word for word"))
    found = list(first.values())
    named = isinstance(run.validation_documents, tuple)
    if not named and len({passage.doc_id for passage in found}) < LEAST_DOCUMENTS:
        found = [replace(passage, doc_id=passage.id) for passage in found]
    return [Example(Query("", id=passage.id), positives=(passage,)) for passage in found]


def task(run: PretrainRun, split: Split, report: Report) -> Task:
    """The encoder or causal language model of ``run``.

    Raises:
        TrainingError: a tuning whose additions cannot become part of a backbone, passages beyond its input, or a
            sequence-to-sequence model.
    """
    tuning: Tuning = plugins.build("tuning", run.tuning.options())
    if not tuning.folds:
        raise TrainingError(
            f"what {run.tuning.name} adds cannot be folded into a backbone", accepted="full, lora, bitfit"
        )
    folder = backbone.resolve(run.backbone)
    if is_writer(folder):
        return _continuing(run, split, folder)
    layout = read_layout(folder)
    _check_length(run, layout.max_tokens)
    tokenizer = load_tokenizer(layout.transformer)
    tokenizer.enable_truncation(run.max_passage_tokens)
    objective = MaskedObjective(tokenizer, share=run.masked_share, smoothing=run.label_smoothing)
    texts = _held_out(run, split, objective)
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


def _continuing(run: PretrainRun, split: Split, folder: Path) -> Task:
    """The causal language model in ``folder``."""
    model = Generator.from_folder(folder, run.dropout)
    if model.is_seq2seq:
        raise TrainingError(
            f"{folder} is a sequence-to-sequence model", accepted="an encoder or a causal language model"
        )
    checking.refuse_given(
        run, ("masked_share",), f"{run.backbone} is causal, and no word is hidden from it", "an encoder"
    )
    _check_length(run, model.room(1))
    tokenizer = load_writer_tokenizer(folder)
    objective = ContinuationObjective(tokenizer, smoothing=run.label_smoothing)
    texts = _held_out(run, split, objective)
    return Task(
        model,
        objective,
        split.training,
        "mean probability of the next token",
        lambda model: expected(model, objective, texts),
        goes_on=True,
        save=partial(_save_writer, run, folder),
        finish=lambda _: None,
        compare=lambda _: None,
    )


def _check_length(run: PretrainRun, longest: int) -> None:
    if run.max_passage_tokens > longest:
        raise TrainingError(f"max_passage_tokens is {run.max_passage_tokens}", accepted=f"16 to {longest}")


def _held_out(run: PretrainRun, split: Split, objective: Any) -> list[Any]:
    """The groups of the passages that validate, drawn once."""
    held_out = shuffled(split.validation, run.split_seed)[: run.validation_questions]
    objective.prepare(held_out)
    rng = np.random.default_rng(run.split_seed)
    return [group for e in held_out if (group := objective.group(e, rng)) is not None]


@torch.inference_mode()
def expected(model: Generator, objective: ContinuationObjective, texts: Sequence[TokenRow]) -> float:
    """Geometric mean over the texts' tokens of the probability that the model gives them: one over its perplexity."""
    total, count = 0.0, 0
    for at in range(0, len(texts), _BATCH):
        few = texts[at : at + _BATCH]
        batch = objective.collate(few)
        lengths = torch.tensor([text.length - 1 for text in few])
        total += float((model(batch.ids, batch.mask, batch.labels) * lengths).sum())
        count += int(lengths.sum())
    return math.exp(-total / max(1, count))


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


def _fold(run: PretrainRun, model: Any, tensors: Mapping[str, Tensor], target: Path) -> None:
    """Make what was trained part of ``model``, and keep it apart in the format of its tuning, too."""
    tuning = lay_over(run, model, tensors, target)
    tuning.export(model, target / PEFT)
    tuning.merge(model)


def _save(run: PretrainRun, source: Path, target: Path, tensors: Mapping[str, Tensor], best: float) -> None:
    model = MaskedModel.from_folder(source, dropout=0.0)
    _fold(run, model, tensors, target)
    store_whole(model.encoder, source, target)


def _save_writer(
    run: PretrainRun, source: Path, target: Path, tensors: Mapping[str, Tensor], best: float
) -> None:
    model = Generator.from_folder(source)
    _fold(run, model, tensors, target)
    model.encoder.save_pretrained(target)
    load_writer_tokenizer(source).save_pretrained(target)
