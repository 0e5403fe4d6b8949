"""``finetune joint``: retriever and reader teach each other, from questions and answers alone.

pairs ──search──▶ hits ──likelihood of the answer──▶ labels ──▶ retriever's run ──▶ reader's run ──▶ next round

Labels stand in a file of each round, in ragqa's own form, to be looked at; the runs are those of ``training/run.py``.
A killed run goes on in the round and the step at which it was.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ragqa import data, plugins
from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.data import distinct_passages
from ragqa.errors import TrainingError
from ragqa.evaluation.answers import f1
from ragqa.generations import open_generation
from ragqa.indexing import CATALOG
from ragqa.protocols import Vectors
from ragqa.readers.extractive import ExtractiveReader
from ragqa.training.checking import LEAST
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.labelling import Tally, label, line, occurrences
from ragqa.training.retrieval import MemoryRetriever
from ragqa.training.run import finetune
from ragqa.training.schedule import Schedule
from ragqa.training.settings import JointRun, Run
from ragqa.training.splitting import shuffled
from ragqa.training.task import Report
from ragqa.types import Example, Passage, Query

LABELS = "questions.jsonl"
MOST_TESTED = 500

Recording = Callable[[Path], AbstractContextManager[Report]]
"""A folder → where the reports of the run in it go."""


@dataclass(frozen=True, slots=True)
class Models:
    """The encoder's options and the reader's folder after a round."""

    encoder: Mapping[str, Any]
    reader: str


@dataclass(frozen=True, slots=True)
class FinishedJointly:
    """The folders of the trained models, and how they compare with those before on questions put aside."""

    retriever: Path
    reader: Path
    comparison: Comparison | None


def finetune_jointly(run: JointRun, *, resume: bool, report: Report, recording: Recording) -> FinishedJointly:
    """Train ``run.rounds`` times a retriever and a reader on what they labelled together.

    Raises:
        DataError, TrainingError: nothing can be learned from the data, or the settings do not fit it.
    """
    passages, pairs, test = _read(run, report)
    models = before = Models({"name": "sentence_transformer", "model": _backbone(run)}, _first_reader(run))
    folder = run.output
    for number in range(1, run.rounds + 1):
        folder = run.output / f"round_{number}"
        labels = folder / LABELS
        if not (resume and labels.exists()):
            _label(run, pairs, _Search(passages, models), labels, number, report)
        models = _round(run, folder, models, number, resume, recording)
    retriever, reader = (folder / part / "model" for part in ("retriever", "reader"))
    comparison = None
    if test:
        searches = [_Search(passages, one) for one in (before, models)]
        comparison = compare(*(search.scores(test) for search in searches))
    return FinishedJointly(retriever, reader, comparison)


def plan_jointly(run: JointRun, report: Report) -> None:
    """Report what would be asked of how many passages, without training."""
    _read(run, report)


def _read(run: JointRun, report: Report) -> tuple[list[Passage], list[Example], list[Example]]:
    """The passages, the pairs to learn from and those put aside, without what the data say of passages."""
    found = data.read_pairs(
        run.data, run.max_questions, run.split_seed, lambda fault: report({"left out": str(fault)})
    )
    passages = distinct_passages(found) if run.index is None else _indexed(run.index)
    if not passages:
        raise TrainingError(
            "there are no documents in which the answers could stand",
            accepted="an index of them, or questions in a form that brings passages along",
            next_step="--index indexes/default",
        )
    pairs = shuffled([Example(e.query, e.answers) for e in found], run.split_seed)
    aside = min(len(pairs) // 10, MOST_TESTED) if run.test_questions is None else run.test_questions
    if len(pairs) - aside < LEAST:
        raise TrainingError(
            f"{len(pairs) - aside} questions with answers are left for training", accepted=f"{LEAST} or more"
        )
    report(
        {
            "passages": len(passages),
            "training_questions": len(pairs) - aside,
            "test_questions": aside,
            "rounds": run.rounds,
        }
    )
    return passages, pairs[aside:], pairs[:aside]


def _indexed(index: Path) -> list[Passage]:
    with open_generation(index) as generation, Catalog(generation.verified(CATALOG)) as catalog:
        return list(catalog.all_passages())


def _backbone(run: JointRun) -> str:
    return str(run.retriever.get("backbone", "builtin"))


def _first_reader(run: JointRun) -> str:
    return str(run.reader.get("start_from", "builtin"))


class _Search:
    """The passages as ``models`` find and read them."""

    def __init__(self, passages: Sequence[Passage], models: Models) -> None:
        self.passages, self.models = passages, models

    @cached_property
    def hybrid(self) -> MemoryRetriever:
        return self._retriever()

    @cached_property
    def reader(self) -> ExtractiveReader:
        return ExtractiveReader(model=self.models.reader)

    def _retriever(self, vectors: Vectors | None = None, **more: Any) -> MemoryRetriever:
        config = Config.model_validate({"encoder": self.models.encoder, **more})
        return MemoryRetriever(self.passages, config, vectors)

    def scores(self, asked: Sequence[Example]) -> Scores:
        """Whether the first hit of the vectors alone, and one of five of the hybrid, holds the answer; F1."""
        queries, texts = [e.query for e in asked], [e.query.text for e in asked]
        dense = self._retriever(self.hybrid.vectors, fusion={"dense_weight": 1.0}).retrieve(texts, 1)
        hits = self.hybrid.retrieve(texts, Config().top_k)
        answers = self.reader.read(queries, hits)
        return {
            "F1": [f1(a.text or "", e.answers) for a, e in zip(answers, asked, strict=True)],
            "answer in the first hit, dense": [_holds(mine, e) for mine, e in zip(dense, asked, strict=True)],
            "answer in the hits, hybrid": [_holds(mine, e) for mine, e in zip(hits, asked, strict=True)],
        }


def _holds(hits: Sequence[Any], example: Example) -> float:
    return float(any(occurrences(hit.passage.text, example.answers) for hit in hits))


def _label(
    run: JointRun, pairs: Sequence[Example], search: _Search, target: Path, number: int, report: Report
) -> None:
    """Write the pairs whose answers the hits bear out, with their passages."""
    report({"round": number, "stage": "searching and reading"})
    tally = Tally()
    found = [
        line(Example(Query(e.query.text, id=e.query.id or f"pair {place}"), e.answers), borne)
        for place, (e, borne) in enumerate(
            label(pairs, search.hybrid, search.reader, run.top_k, run.least_likelihood, tally)
        )
    ]
    report({"round": number, "labelled": tally.labelled, "without_a_hit": tally.without})
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text("".join(f"{one}\n" for one in found), encoding="utf-8")
    os.replace(partial, target)


def _round(
    run: JointRun, folder: Path, models: Models, number: int, resume: bool, recording: Recording
) -> Models:
    """The models after a round's two runs; what can go on from the round before does."""
    labels = folder / LABELS
    # An encoder of questions alone is trained towards the untuned vectors of passages, so it begins anew.
    backbone = str(models.encoder["model"]) if run.whole_encoder else _backbone(run)
    retriever = run.retriever_run(labels, folder / "retriever", backbone=backbone)
    _train(_scheduled(run, retriever), resume, recording)
    reader = run.reader_run(labels, folder / "reader")
    if number > 1 and reader.tuning.name == "full":
        reader = reader.model_copy(update={"start_from": models.reader})
    _train(_scheduled(run, reader), resume, recording)
    trained = str(retriever.output / "model")
    sides = {"model": trained} if run.whole_encoder else {"model": backbone, "query_model": trained}
    return Models({"name": "sentence_transformer", **sides}, str(reader.output / "model"))


def _scheduled(joint: JointRun, run: Any) -> Any:
    """Each round takes its part of the epochs that one run alone would have."""
    if run.schedule is not None:
        return run
    questions = sum(1 for _ in run.data[0].open(encoding="utf-8"))
    schedule: Schedule = run.default_schedule(questions, plugins.build("tuning", run.tuning.options()).rate)
    epochs = max(1, -(-schedule.epochs // joint.rounds))
    return run.model_copy(update={"schedule": schedule.model_copy(update={"epochs": epochs})})


def _train(run: Run, resume: bool, recording: Recording) -> None:
    if resume and (run.output / "model" / "README.md").exists():  # the last that a run writes
        return
    with recording(run.output) as report:
        finetune(run, resume=resume, report=report)
