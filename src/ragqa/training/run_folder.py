"""The folder of a run: what stands in it, what an earlier run left there, and the disk below it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragqa import durable
from ragqa.errors import RagqaError, TrainingError

LAST, BEST = "last.safetensors", "best.safetensors"
"""Where a run can go on, and the weights that were judged best."""

ASIDE = "unfinished"
"""Both, of a run that was cut there before this one began anew."""

MODEL, RESOLVED, CARD = "model", "run.json", "README.md"
"""The folder that serves, and in it the settings that it was trained with, and what it is: written last."""


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
        TrainingError: the model of ``output`` is one of those that it is made from; or a file is there.
    """
    require_folder(output)
    target = (output / MODEL).resolve()
    for name in models:
        if Path(name).resolve() == target:
            raise TrainingError(
                f"the model {name} would be overwritten by what is made from it",
                accepted="an output of its own",
                next_step=f"--output {output}_2",
            )


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
    aside = folder / ASIDE
    aside.mkdir(exist_ok=True)
    for name in (LAST, BEST):
        if (folder / name).is_file():
            (folder / name).replace(aside / name)
    cut = f"a run that was cut after step {step}, with which --resume would have gone on"
    report({"set aside": f"{aside}: {cut}"})


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
