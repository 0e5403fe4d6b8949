"""Every tuning on the same questions, one after the other: score, seconds, memory and size in one table."""

import multiprocessing
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ragqa import plugins
from ragqa.errors import ConfigError, RagqaError, TrainingError
from ragqa.memory import peak_memory
from ragqa.models.loading import quieten
from ragqa.training.allocator import memory_named
from ragqa.training.judging import Comparison
from ragqa.training.recording import recording
from ragqa.training.run import finetune, megabytes
from ragqa.training.settings import Run
from ragqa.training.task import Report
from ragqa.training.workers import Workers

_SMALLER = "smaller batches, if the memory was too small"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one tuning cost and gave; ``peak_mb`` is that of its process, libraries, model and data included."""

    name: str
    comparison: Comparison
    trained_parameters: int
    seconds: float
    peak_mb: float
    model_mb: float
    model: Path


def compare_tunings(run: Run, names: Sequence[str], report: Report) -> list[Tuned]:
    """Train with each tuning of ``names`` into a folder of its own below ``run.output``.

    Each has a process to itself: what the one before has left in memory would count as its own. A script that calls
    this needs ``if __name__ == "__main__":``, as with all of ``multiprocessing``. A tuning that cannot be trained
    (BitFit without biases, too little memory) is reported and left out.

    Raises:
        TrainingError: the run puts no documents aside for a test, or none can be trained; there are several processes.
        PluginError: a name that is no tuning.
    """
    Workers.joined().refuse("the comparison measures seconds and memory")
    if run.test_documents == 0:
        raise TrainingError(
            "without test documents there is nothing to compare", accepted="test_documents: 1"
        )
    if not names:
        raise TrainingError("no tuning is named", accepted="one or more", next_step="--tunings full,lora")
    for name in names:
        plugins.check_options("tuning", {"name": name})
    found = []
    for name in names:
        try:
            found.append(_in_own_process(run, name, report))
        except (ConfigError, TrainingError) as fault:
            if name == names[-1] and not found:
                raise
            report({"tuning": name, "left out": fault.found})
    return found


def _in_own_process(run: Run, name: str, report: Report) -> Tuned:
    context = multiprocessing.get_context("spawn")
    heard, telling = context.Pipe(duplex=False)
    child = context.Process(target=_train, args=(run, name, telling), daemon=True)
    child.start()
    telling.close()
    try:
        while isinstance(said := _heard(heard), dict):
            report(said)
    except BaseException:  # nobody listens any more
        child.terminate()
        raise
    finally:
        child.join()
    if isinstance(said, RagqaError):
        raise said
    if said is None and (child.exitcode or 0) > 0:  # an error of ours, whose traceback it has printed
        raise RuntimeError(f"the process that trained {name} failed")
    if said is None:
        raise TrainingError(
            f"the process that trained {name} was ended by signal {-(child.exitcode or 0)}",
            accepted="one that lives to its end",
            next_step=_SMALLER,
        )
    tuned: Tuned = said
    return tuned


def _heard(telling: Connection) -> Any:
    """The next that the process tells; None where it ended between two messages, or within one."""
    try:
        return telling.recv()
    except (EOFError, OSError):
        return None


def _train(run: Run, name: str, telling: Connection) -> None:
    """In the process of one tuning: tell its reports, then what it came to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that listens, who ends this one
    quieten()
    try:
        with memory_named():
            tuned = _tuned(run, name, telling.send)
        telling.send(tuned)
    except RagqaError as fault:
        telling.send(fault)


def _tuned(run: Run, name: str, report: Report) -> Tuned:
    told: dict[str, Any] = {}

    def watch(values: dict[str, Any]) -> None:
        told.update(values)
        report(values if "left out" in values else {"tuning": name, **values})

    started = time.monotonic()
    chosen = run.changed(output=run.output / name, tuning={"name": name})
    with recording(watch, resume=False)(chosen.output) as record:
        finished = finetune(chosen, resume=False, report=record)
    if finished.comparison is None:
        raise TrainingError("the test documents hold no question to judge by", accepted="at least one")
    return Tuned(
        name,
        finished.comparison,
        told["trained_parameters"],
        time.monotonic() - started,
        peak_memory(),
        megabytes(finished.model),
        finished.model,
    )
