"""``finetune joint``: retriever and reader teach each other, from questions and answers alone.

pairs ──search──▶ hits ──likelihood of the answer──▶ labels ──▶ retriever's run ──▶ reader's run ──▶ next round

Labels stand in a file of each round, in ragqa's own form, to be looked at; the runs are those of ``training/run.py``.
A killed run goes on in the round and the step at which it was.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ragqa import backbone, data, durable, plugins, pretrained
from ragqa.backbone import content_digest
from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.data import distinct_passages
from ragqa.errors import TrainingError
from ragqa.evaluation.answers import f1, occurrences
from ragqa.generations import open_generation
from ragqa.indexing import CATALOG
from ragqa.protocols import Vectors
from ragqa.readers.extractive import ExtractiveReader
from ragqa.training.checking import LEAST, consistent
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.labelling import Borne, Tally, label, line
from ragqa.training.resuming import differing
from ragqa.training.retrieval import MemoryRetriever
from ragqa.training.run import finetune
from ragqa.training.run_folder import CARD, LAST, MODEL, alone, disk_named, require_folder, set_aside
from ragqa.training.schedule import Schedule
from ragqa.training.settings import JointRun, ReaderRun, RetrieverRun, Run
from ragqa.training.splitting import LEAST_DOCUMENTS, divide, document_of, shuffled, wording
from ragqa.training.task import Report
from ragqa.training.workers import Workers
from ragqa.types import Example, Hit, Passage

LABELS, IDENTITY = "questions.jsonl", "joint.json"
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
    Workers.joined().refuse("joint training searches, labels and judges")
    with disk_named(run.output):
        found = read(run, report)
        with alone(run.output):
            return _finetune(run, found, resume, report, recording)


def _finetune(
    run: JointRun,
    found: tuple[Sequence[Passage], Sequence[Example], Sequence[Example]],
    resume: bool,
    report: Report,
    recording: Recording,
) -> FinishedJointly:
    passages, pairs, test = found
    _begin(run, resume, report)
    models = before = first_models(run)
    folder, held_out = run.output, tuple[str, ...]()
    for number in range(1, run.rounds + 1):
        folder = run.output / f"round_{number}"
        labels = folder / LABELS
        if not (resume and labels.exists()):
            _label(run, pairs, Search(passages, models), labels, number, report)
        if number == 1:
            held_out = held_out_documents(run, labels)
        models = _round(run, folder, models, number, held_out, resume, recording)
    retriever, reader = (folder / part / MODEL for part in ("retriever", "reader"))
    comparison = None
    if test:
        former, latter = (Search(passages, one).scores(test) for one in (before, models))
        comparison = compare(former, latter, test)
    return FinishedJointly(retriever, reader, comparison)


def _begin(run: JointRun, resume: bool, report: Report) -> None:
    """Leave nothing of an earlier run that could be taken for this one's.

    Raises:
        TrainingError: it should go on, but was begun with other data, settings or models.
    """
    path, identity = run.output / IDENTITY, _identity(run)
    run.output.mkdir(parents=True, exist_ok=True)
    if not resume:
        for last in run.output.glob(f"round_*/*/{LAST}"):
            set_aside(last.parent, report)
        for finished in (
            *run.output.glob(f"round_*/{LABELS}"),
            *run.output.glob(f"round_*/*/{MODEL}/{CARD}"),
            *run.output.glob(f"round_*/*/{LAST}"),
        ):
            finished.unlink()
    elif path.exists() and (others := _others(path.read_text(encoding="utf-8"), identity)):
        raise TrainingError(
            f"{run.output} was begun with other {'; '.join(others)}",
            accepted="the run that it belongs to",
            next_step="restore them, or train without --resume (which begins again), or into another output",
        )
    with durable.whole(path) as partial:
        partial.write_text(identity, encoding="utf-8")


def _others(stored: str, identity: str) -> list[str]:
    """What of two identities is not the same."""
    there, here = json.loads(stored), json.loads(identity)
    settings = differing(there.pop("settings"), here.pop("settings"), ())
    return [*settings, *(name for name, value in here.items() if there.get(name) != value)]


def _identity(run: JointRun) -> str:
    """What must be the same for a run to go on: its settings, its data, the index and the models it begins with."""
    settings = run.model_dump(mode="json", exclude={"data", "output", "index"})
    for part in ("retriever", "reader"):  # each run of a round looks after its own
        settings[part].pop("schedule", None)
    parts = (run.retriever_run(run.data[0], run.output), run.reader_run(run.data[0], run.output))
    besides = [file for one in parts for file in one.files() if file not in one.data]
    index = ""
    if run.index is not None:
        with open_generation(run.index) as generation:
            index = generation.manifest.created
    models = [backbone.resolve(_backbone(run)), pretrained.reader_folder(_first_reader(run))]
    identity = {
        "settings": settings,
        "data": content_digest([*run.data, *besides]),
        "index": index,
        "models": [backbone.digest(folder) for folder in models],
    }
    return json.dumps(identity, indent=1) + "\n"


def read(run: JointRun, report: Report) -> tuple[list[Passage], list[Example], list[Example]]:
    """The passages, the pairs to learn from and those put aside, without what the data say of passages.

    Of pairs that ask the same the first counts, and the others are reported; no question is learned that judges,
    whatever is said to answer it.
    """
    left_out: Callable[[Exception], None] = lambda fault: report({"left out": str(fault)})  # noqa: E731
    found = data.read_pairs(run.data, run.max_questions, run.split_seed, left_out)
    _refuse_models(run)
    passages = distinct_passages(found) if run.index is None else _indexed(run.index)
    if not passages:
        raise TrainingError(
            "there are no documents in which the answers could stand",
            accepted="an index of them, or questions in a form that brings passages along",
            next_step="--index indexes/default",
        )
    bare = [Example(e.query, e.answers) for e in found]
    pairs = shuffled(consistent(bare, left_out), run.split_seed)
    aside = min(len(pairs) // 10, MOST_TESTED) if run.test_questions is None else run.test_questions
    test = pairs[:aside]
    tested = {wording(e.query.text) for e in test}  # with other options it would be another question
    training = [e for e in pairs[aside:] if wording(e.query.text) not in tested]
    if len(training) < LEAST:
        raise TrainingError(
            f"{len(training)} questions with answers are left for training", accepted=f"{LEAST} or more"
        )
    report(
        {
            "passages": len(passages),
            "training_questions": len(training),
            "test_questions": len(test),
            "rounds": run.rounds,
        }
    )
    return passages, training, test


def _refuse_models(run: JointRun) -> None:
    """Refuse settings under which a later round could not go on.

    Raises:
        TrainingError: a model to begin with would be overwritten; an encoder that only adds to another one.
    """
    require_folder(run.output)
    inside = run.output.resolve()
    for name in (_backbone(run), _first_reader(run)):
        is_path = name not in pretrained.SHIPPED and not name.startswith(backbone.REMOTE)
        if is_path and inside in Path(name).resolve().parents:
            raise TrainingError(
                f"the model {name} lies in the folder that the run writes to",
                accepted="an output of its own",
                next_step=f"--output {run.output}_2",
            )
    tuning = run.retriever_run(run.data[0], run.output).tuning
    folds: bool = plugins.build("tuning", tuning.options()).folds
    if run.whole_encoder and run.rounds > 1 and not folds:
        raise TrainingError(
            f"a second round cannot go on from an encoder to which {tuning.name} only adds",
            accepted="full, lora, bitfit, or one round",
            next_step="--rounds 1",
        )


def _indexed(index: Path) -> list[Passage]:
    with open_generation(index) as generation, Catalog(generation.verified(CATALOG)) as catalog:
        return list(catalog.all_passages())


def _backbone(run: JointRun) -> str:
    return str(run.retriever.get("backbone", "builtin"))


def _first_reader(run: JointRun) -> str:
    return str(run.reader.get("start_from") or "builtin")


def first_models(run: JointRun) -> Models:
    """The models that search and read in the first round."""
    return Models({"name": "sentence_transformer", "model": _backbone(run)}, _first_reader(run))


class Search:
    """The passages as ``models`` find and read them."""

    def __init__(self, passages: Sequence[Passage], models: Models) -> None:
        self.passages, self.models = passages, models

    @cached_property
    def hybrid(self) -> MemoryRetriever:
        return self.retriever()

    @cached_property
    def reader(self) -> ExtractiveReader:
        return ExtractiveReader(model=self.models.reader)

    def retriever(self, vectors: Vectors | None = None, **more: Any) -> MemoryRetriever:
        """Hybrid, unless ``more`` settings say otherwise; ``vectors`` may be given where they are known."""
        config = Config.model_validate({"encoder": self.models.encoder, **more})
        return MemoryRetriever(self.passages, config, vectors)

    def scores(self, asked: Sequence[Example]) -> Scores:
        """Whether the first hit of the vectors alone, and one of five of the hybrid, holds the answer; F1."""
        queries, texts = [e.query for e in asked], [e.query.text for e in asked]
        dense = self.retriever(self.hybrid.vectors, fusion={"dense_weight": 1.0}).retrieve(texts, 1)
        hits = self.hybrid.retrieve(texts, Config().top_k)
        answers = self.reader.read(queries, hits)
        return {
            "F1": [f1(a.text or "", e.answers) for a, e in zip(answers, asked, strict=True)],
            "answer in the first hit, dense": [_holds(mine, e) for mine, e in zip(dense, asked, strict=True)],
            "answer in the hits, hybrid": [_holds(mine, e) for mine, e in zip(hits, asked, strict=True)],
        }


def _holds(hits: Sequence[Hit], example: Example) -> float:
    return float(any(occurrences(hit.passage.text, example.answers) for hit in hits))


def _label(
    run: JointRun, pairs: Sequence[Example], search: Search, target: Path, number: int, report: Report
) -> None:
    """Write the pairs whose answers the hits bear out, with their passages."""
    report({"round": number, "stage": "searching and reading"})
    tally = Tally()
    labelled = list(label(pairs, search.hybrid, search.reader, run.top_k, run.least_likelihood, tally))
    counts = {"labelled": tally.labelled, "without_a_hit": tally.without}
    report({"round": number, **counts, **({"not_read": tally.unread} if tally.unread else {})})
    if len(labelled) < LEAST:
        raise TrainingError(
            f"the reader finds answers in the hits of {len(labelled)} of {len(pairs)} questions",
            accepted=f"{LEAST} or more",
            next_step="--index of the documents that answer, or a lower least_likelihood",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_labels(labelled, target, search.passages)


def write_labels(
    labelled: Iterable[tuple[Example, list[Borne]]], target: Path, passages: Sequence[Passage]
) -> None:
    """Write what was labelled, with the passages that bear it out, as training questions."""
    # One long document cannot be held out: then its passages are, in every round alike.
    several = len({passage.doc_id for passage in passages}) >= LEAST_DOCUMENTS
    found = [line(e, borne, by_document=several) for e, borne in labelled]
    with durable.whole(target) as partial:
        partial.write_text("".join(f"{one}\n" for one in found), encoding="utf-8")


def held_out_documents(run: JointRun, labels: Path) -> tuple[str, ...]:
    """The documents that validate in every round: a later one must not be judged on what an earlier one learned."""
    split = divide(data.read(labels), run.validation_documents, 0, run.split_seed)
    return tuple(sorted({document_of(example) for example in split.validation}))


def _round(
    run: JointRun,
    folder: Path,
    models: Models,
    number: int,
    held_out: tuple[str, ...],
    resume: bool,
    recording: Recording,
) -> Models:
    """The models after a round's two runs; what can go on from the round before does."""
    retriever, reader = runs_of_round(run, folder / LABELS, models, number, held_out)
    for part in (retriever, reader):
        _train(part, resume, recording)
    trained = str(retriever.output / MODEL)
    sides = {"model": trained} if run.whole_encoder else {"model": retriever.backbone, "query_model": trained}
    return Models({"name": "sentence_transformer", **sides}, str(reader.output / MODEL))


def runs_of_round(
    run: JointRun, labels: Path, models: Models, number: int, held_out: tuple[str, ...]
) -> tuple[RetrieverRun, ReaderRun]:
    """The two runs of a round, beside its labels."""
    folder, here = labels.parent, {document_of(example) for example in data.read(labels)}
    # An encoder of questions alone is trained towards the untuned vectors of passages, so it begins anew.
    encoder = str(models.encoder["model"]) if run.whole_encoder else _backbone(run)
    aside = {"validation_documents": tuple(name for name in held_out if name in here)}
    retriever = run.retriever_run(labels, folder / "retriever", backbone=encoder, **aside)
    reader = run.reader_run(labels, folder / "reader", **aside)
    if number > 1 and reader.tuning.name == "full":
        reader = reader.model_copy(update={"start_from": models.reader})
    return _scheduled(run, retriever), _scheduled(run, reader)


def _scheduled(joint: JointRun, run: Any) -> Any:
    """Each round takes its part of the epochs that one run alone would have."""
    if "epochs" in run.given_schedule:
        return run
    questions = run.data[0].read_text(encoding="utf-8").count("\n")
    usual: Schedule = run.schedule_for(questions, plugins.build("tuning", run.tuning.options()).rate)
    epochs = max(1, -(-usual.epochs // joint.rounds))
    return run.model_copy(update={"schedule": Schedule(**run.given_schedule, epochs=epochs)})


def _train(run: Run, resume: bool, recording: Recording) -> None:
    if resume and (run.output / MODEL / CARD).exists():
        return
    with recording(run.output) as report:
        finetune(run, resume=resume, report=report)
