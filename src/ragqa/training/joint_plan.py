"""``finetune joint --dry-run``: how long the rounds would take, without training.

What a round will label is known only when it has searched and read. In its place stand the hits of BM25 that hold the
answer: on them both runs of a round are prepared and timed, and some of them are searched and read.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ragqa import plugins
from ragqa.errors import TrainingError
from ragqa.evaluation.answers import occurrences
from ragqa.protocols import Encoder
from ragqa.training.checking import LEAST
from ragqa.training.joint import (
    LABELS,
    Search,
    first_models,
    held_out_documents,
    read,
    runs_of_round,
    write_labels,
)
from ragqa.training.labelling import Borne, Tally, label
from ragqa.training.retrieval import TermRetriever
from ragqa.training.run import estimate, prepare
from ragqa.training.settings import JointRun, Run
from ragqa.training.task import Report
from ragqa.types import Example

_TIMED = 64
"""Questions that are asked to see how long all of them will take."""

Labelled = tuple[Example, list[Borne]]


def plan_jointly(run: JointRun, report: Report) -> None:
    """Report what would be asked of how many passages, and how long it would take, without training.

    Raises:
        DataError, TrainingError: nothing can be learned from the data, or the settings do not fit it.
    """
    passages, pairs, test = read(run, report)
    search = Search(passages, first_models(run))
    started = time.perf_counter()
    found = _found_by_words(pairs, search, run.top_k)
    by_words = time.perf_counter() - started
    try:
        training = _round_seconds(run, found, search, report)
    except TrainingError as fault:  # the rounds may label more, or others
        report({"no_estimate": str(fault)})
        return
    encoding, asking = _asking_seconds(run, found, search)
    # The comparison searches twice: with the models before, and with those after.
    searches, asked = run.rounds + 2 * bool(test), run.rounds * len(pairs) + 2 * len(test)
    seconds = run.rounds * training + searches * (by_words + len(passages) * encoding) + asked * asking
    report({"rounds": run.rounds, "found_by_words": len(found), "estimated_minutes": round(seconds / 60, 1)})


def _found_by_words(pairs: Sequence[Example], search: Search, top_k: int) -> list[Labelled]:
    """The pairs that the reader can read, with the hits of BM25 that hold the answer, one as likely as the other."""
    readable = [e for e in pairs if not search.reader.is_lexical(e.query)]
    hits = TermRetriever(search.passages).retrieve([e.query.text for e in readable], top_k)
    found = []
    for example, mine in zip(readable, hits, strict=True):
        places = [(hit.passage, occurrences(hit.passage.text, example.answers)) for hit in mine]
        borne = [Borne(passage, 1.0, spans[0]) for passage, spans in places if spans]
        if borne:
            found.append((example, borne))
    return found


def _round_seconds(run: JointRun, found: Sequence[Labelled], search: Search, report: Report) -> float:
    """Of the two runs of a round that labelled what was ``found``.

    Raises:
        TrainingError: it is not enough for a run, or their settings do not fit it.
    """
    if len(found) < LEAST:
        raise TrainingError(f"words alone find the answers of {len(found)} questions, and {LEAST} are needed")
    with TemporaryDirectory() as folder:
        labels = Path(folder) / LABELS
        write_labels(found, labels, search.passages)
        runs = runs_of_round(run, labels, search.models, 1, held_out_documents(run, labels))
        return sum(_run_seconds(one, report) for one in runs)


def _run_seconds(run: Run, report: Report) -> float:
    """Of one run, with all that comes before its first step."""
    started = time.perf_counter()
    prepared = prepare(run, lambda _: None)
    pace = estimate(prepared, lambda values: report({"in_each_round": run.target, **values}))
    return time.perf_counter() - started + 60 * prepared.minutes(pace)


def _asking_seconds(run: JointRun, found: Sequence[Labelled], search: Search) -> tuple[float, float]:
    """Of encoding one passage, and of asking one question and reading the hits that hold its answer."""
    asked = [example for example, _ in found[:_TIMED]]
    near = {one.passage.id: one.passage for _, borne in found[:_TIMED] for one in borne}
    texts = [passage.titled_text for passage in near.values()]
    encoder: Encoder = plugins.build("encoders", {**search.models.encoder, "truncate": True})
    encoder.encode_passages(texts[:1])  # the first pays for loading
    started = time.perf_counter()
    vectors = encoder.encode_passages(texts)
    encoding = time.perf_counter() - started
    retriever = Search(list(near.values()), search.models).retriever(vectors)

    def ask(some: Sequence[Example]) -> None:
        list(label(some, retriever, search.reader, run.top_k, run.least_likelihood, Tally()))

    ask(asked[:1])
    started = time.perf_counter()
    ask(asked)
    return encoding / len(texts), (time.perf_counter() - started) / len(asked)
