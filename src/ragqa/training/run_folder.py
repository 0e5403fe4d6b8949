"""The folder of a run: what stands in it, what an earlier run left there, and the disk below it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ragqa import durable
from ragqa.errors import RagqaError, TrainingError
from ragqa.training.schedule import Schedule

LAST, BEST = "last.safetensors", "best.safetensors"
"""Where a run can go on, and the weights that were judged best."""

CHOSEN = "search/schedule.json"
"""The schedule that a search chose, for ``--resume``."""

ASIDE = "unfinished"
"""Of a run that was cut before this one began anew all of these, and its settings; of several each has a number."""

RATES = frozenset({"learning_rate", "head_learning_rate", "clip_norm"})
"""What may be lower in a run that goes on from the step at which its loss was no number."""

MODEL, RESOLVED, CARD = "model", "run.json", "README.md"
"""The folder that serves; the settings, in the folder of the run before its first step and in that of the model; what
the model is, written last of all."""


def require_folder(path: Path) -> None:
    """Refuse a file in the place of a run's folder, or of one above it.

    Raises:
        TrainingError: there is one.
    """
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise TrainingError(f"{there} is a file", accepted="a folder", next_step="--output FOLDER")


def require_own(output: Path, models: Sequence[str]) -> None:
    """Keep a model from being replaced by what is made from it.

    Raises:
        TrainingError: the model of ``output``, or the one before it, is one of those that it is made from; or a file
            is there.
    """
    require_folder(output)
    replaced = [(output / name).resolve() for name in (MODEL, f"{MODEL}{durable.BEFORE}")]
    for name in models:
        path = Path(name).resolve()
        if any(place in (path, *path.parents) for place in replaced):
            raise TrainingError(
                f"the model {name} would be overwritten by what is made from it",
                accepted="an output of its own",
                next_step=f"--output {output}_2",
            )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second run out of ``folder``: the checkpoints of two would be taken for those of one.

    Raises:
        TrainingError: another run is there, or no folder can be.
    """
    require_folder(folder)
    with disk_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout as taken:
            raise TrainingError(
                f"another run trains in {folder}",
                accepted="one at a time",
                next_step="--output FOLDER, or the same command when it has ended",
            ) from taken
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_named(folder: Path) -> Iterator[None]:
    """A disk that fails under the run in ``folder`` as one line.

    Raises:
        TrainingError: something could not be written.
    """
    try:
        yield
    except RagqaError:  # named already, maybe by the run inside this one
        raise
    except Exception as fault:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        reason = durable.disk_fault(fault, there)
        if reason is None:
            raise
        raise TrainingError(
            f"{folder} cannot be written: {reason}",
            accepted="a disk with room for the run",
            next_step="free space there, then the same command with --resume",
        ) from fault


def set_aside(folder: Path, report: Callable[[dict[str, Any]], None]) -> None:
    """Keep the state of a run that was cut, which one that begins anew in its folder would write over."""
    last, card = folder / LAST, folder / MODEL / CARD
    if not last.is_file() or (card.is_file() and card.stat().st_mtime_ns >= last.stat().st_mtime_ns):
        return
    try:
        step = position_of(last)["step"]
    except TrainingError:  # nothing could go on from it
        return
    names = (f"{ASIDE}{number or ''}" for number in count())
    aside = next(place for name in names if not (place := folder / name).exists())
    for name in (LAST, BEST, CHOSEN, RESOLVED):
        if (folder / name).is_file():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(aside / name)
    back = f"with its files back in {folder}, --resume goes on with it"
    report({"set aside": f"{aside}: a run that was cut after step {step}; {back}"})


def chosen(folder: Path) -> Schedule | None:
    """The schedule that the search of the run in ``folder`` chose, if there was one."""
    path = folder / CHOSEN
    return Schedule.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def keep_chosen(schedule: Schedule, folder: Path) -> None:
    """Let a run in ``folder`` that is resumed go on with this schedule."""
    with durable.whole(folder / CHOSEN) as partial:
        partial.write_text(schedule.model_dump_json(indent=1) + "\n", encoding="utf-8")


def elsewhere(folder: Path) -> str:
    """Where the state of a cut run lies that was set aside, as the end of a sentence."""
    aside = sorted(folder.glob(f"{ASIDE}*"))
    return f" here, but one in {aside[-1]}" if aside else " yet"


def diverged(folder: Path) -> bool:
    """Whether the run in the folder ended with a loss that was no number; what cannot be read tells nothing."""
    try:
        return (folder / LAST).is_file() and bool(position_of(folder / LAST).get("diverged"))
    except TrainingError:
        return False


def position_of(path: Path) -> dict[str, Any]:
    """Where the run was whose checkpoint this is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            found: dict[str, Any] = json.loads(stored.metadata()["position"])
    except (SafetensorError, TypeError, KeyError) as fault:
        raise TrainingError(
            f"{path} is no checkpoint: {fault}",
            accepted="what a run left",
            next_step="train without --resume, which begins again",
        ) from fault
    return found
