"""Every tuning on the same questions, one after the other: score, seconds, memory and size in one table."""

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragqa import plugins
from ragqa.errors import ConfigError, TrainingError
from ragqa.training.judging import Comparison
from ragqa.training.recording import recording
from ragqa.training.run import finetune, megabytes
from ragqa.training.settings import Run
from ragqa.training.task import Report
from ragqa.training.workers import Workers

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one tuning cost and gave; ``peak_mb`` in MiB is that of the whole process, model and data included."""

    name: str
    comparison: Comparison
    trained_parameters: int
    seconds: float
    peak_mb: float
    model_mb: float
    model: Path


def compare_tunings(run: Run, names: Sequence[str], report: Report) -> list[Tuned]:
    """Train with each tuning of ``names`` into a folder of its own below ``run.output``.

    One that cannot be trained (BitFit without biases) is reported and left out.

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
            found.append(_tuned(run, name, report))
        except (ConfigError, TrainingError) as fault:
            if name == names[-1] and not found:
                raise
            report({"tuning": name, "left out": fault.found})
    return found


def _tuned(run: Run, name: str, report: Report) -> Tuned:
    output = run.output / name
    told: dict[str, Any] = {}

    def watch(values: dict[str, Any]) -> None:
        told.update(values)
        report(values if "left out" in values else {"tuning": name, **values})

    _reset_peak()
    started = time.monotonic()
    chosen = run.changed(output=output, tuning={"name": name})
    with recording(watch, resume=False)(output) as record:
        finished = finetune(chosen, resume=False, report=record)
        seconds, peak = time.monotonic() - started, _peak_mb()
    if finished.comparison is None:
        raise TrainingError("the test documents hold no question to judge by", accepted="at least one")
    return Tuned(
        name,
        finished.comparison,
        told["trained_parameters"],
        seconds,
        peak,
        megabytes(finished.model),
        finished.model,
    )


def _reset_peak() -> None:
    """Begin a new measurement of the greatest resident memory (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    found = _PEAK.search(Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
