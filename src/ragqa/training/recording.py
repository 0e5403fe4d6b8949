"""What a run leaves to look at: metrics.jsonl, events for TensorBoard, and a picture of loss and score."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragqa.errors import TrainingError
from ragqa.training.run_folder import alone

METRICS, EVENTS, PLOT = "metrics.jsonl", "tensorboard", "plot.png"


class Recorder:
    """Records the reports of a run in its folder; use as a context manager.

    A resumed run goes on in the same files. One that begins anew has events in a folder of their own, which TensorBoard
    shows as a curve beside those of the earlier ones.

    Raises:
        TrainingError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        try:
            self._place = _place_of_events(folder / EVENTS, resume)
            self._metrics = (folder / METRICS).open("a", encoding="utf-8")
            self._folder, self._step, self._resume = folder, 0, resume
            self._events: Any = None
            self.record({"begun": "again" if resume else "new"})
        except OSError as fault:
            raise TrainingError(
                f"{folder} cannot be written: {fault.strerror}",
                accepted="a folder",
                next_step="--output FOLDER",
            ) from fault

    def record(self, values: Mapping[str, Any]) -> None:
        """One report; numbers of a step become events."""
        self._metrics.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")
        self._metrics.flush()
        self._step = int(values.get("step", self._step))
        for name in ("loss", "validation", "groups_per_second"):
            if name in values:
                self._scalar(name, values[name])

    def _scalar(self, name: str, value: float) -> None:
        if self._events is None:
            from tensorboardX import SummaryWriter

            # What was recorded after the checkpoint that a resumed run goes on from is not true any more.
            self._events = SummaryWriter(
                str(self._place),
                purge_step=self._step if self._resume else None,
                filename_suffix=f".{time.time_ns()}",  # names hold seconds, and an equal one would be written over
            )
        self._events.add_scalar(name, value, self._step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A full disk must hide neither what the run came to nor what ended it.
        with contextlib.suppress(OSError):
            self._metrics.close()
            if self._events is not None:
                self._events.close()
            plot(self._folder)


def _place_of_events(folder: Path, resume: bool) -> Path:
    """The folder of the last run below ``folder`` for one that goes on, else a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    last = max((int(one.name) for one in folder.iterdir() if one.name.isdecimal()), default=0)
    place = folder / f"{max(1, last) if resume else last + 1:03d}"
    place.mkdir(exist_ok=resume)
    return place


def recording(
    shown: Callable[[dict[str, Any]], None], *, resume: bool
) -> Callable[[Path], AbstractContextManager[Callable[[dict[str, Any]], None]]]:
    """A folder → reports that are recorded in it and ``shown``, as long as the context lasts; no other run is there."""

    @contextmanager
    def of(folder: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
        with alone(folder), Recorder(folder, resume=resume) as recorder:

            def report(values: dict[str, Any]) -> None:
                recorder.record(values)
                shown(values)

            yield report

    return of


def plot(folder: Path) -> Path | None:
    """Draw the run that ``metrics.jsonl`` tells of; None where it has no step yet.

    A run that was begun again in the same folder is drawn from its last beginning.
    """
    losses, scores = curves(folder / METRICS)
    if not losses:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*zip(*losses, strict=True), color="#1f5fa8", linewidth=1.2)
    above.set_ylabel("training loss")
    if scores:
        below.plot(*zip(*scores, strict=True), color="#b3541e", marker="o", markersize=4, linewidth=1.2)
        step, best = max(scores, key=lambda pair: pair[1])
        below.annotate(
            f"best {best:.3f}", (step, best), xytext=(0, 6), textcoords="offset points", ha="center"
        )
        below.margins(y=0.2)
    below.set_ylabel("validation score")
    below.set_xlabel("step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(folder.name)
    figure.savefig(folder / PLOT, dpi=120)
    return folder / PLOT


Curve = list[tuple[int, float]]


def curves(metrics: Path) -> tuple[Curve, Curve]:
    """Step and loss, step and validation score, of the last run that began anew.

    A step that comes again, after a resumption, replaces what was known from there on; a line that a kill cut short
    tells nothing.
    """
    losses: dict[int, float] = {}
    scores: dict[int, float] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if values.get("begun") == "new":
            losses, scores = {}, {}
        if "validation_before" in values:
            scores = {0: values["validation_before"]}
        for name, curve in (("loss", losses), ("validation", scores)):
            if name in values and "step" in values:
                for later in [step for step in curve if step >= values["step"]]:
                    del curve[later]
                curve[values["step"]] = values[name]
    return list(losses.items()), list(scores.items())
