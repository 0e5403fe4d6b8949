"""What a training run shows: a bar with loss and score in a terminal, lines elsewhere, a table at the end."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ragqa.cli.left_out import LeftOut
from ragqa.cli.printing import complain

if TYPE_CHECKING:
    from ragqa.training.comparing import Tuned
    from ragqa.training.judging import Comparison


class TrainingView:
    """Shows the reports of a run on stderr. In a terminal the steps move a bar; every other report is a line."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._validation = ""
        self._left_out = LeftOut("a run keeps all of them in its metrics.jsonl")

    def show(self, values: Mapping[str, Any]) -> None:
        """One report of the trainer."""
        if values.keys() == {"left out"}:
            self._left_out(values["left out"])
            return
        self._left_out.close()
        if "validation" in values:
            self._validation = f"{100 * values['validation']:.1f}"
        # Once there is a bar, stderr is a stand-in of rich, and that of an older rich denies to be a terminal.
        if "loss" in values and (self._bar is not None or sys.stderr.isatty()):
            self._move(values)
            return
        line = "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
        if self._bar is None:
            complain(line)
        else:
            self._bar.console.print(line, highlight=False, markup=False)

    def _move(self, values: Mapping[str, Any]) -> None:
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  score {task.fields[score]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=values["steps"], loss=values["loss"], score="–")
            self._bar.start()
        score = self._validation or "–"
        self._bar.update(
            self._task, total=values["steps"], completed=values["step"], loss=values["loss"], score=score
        )

    def close(self) -> None:
        """Tell what is still untold, and leave the terminal as it was."""
        self._left_out.close()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def tuning_lines(found: "Sequence[Tuned]") -> list[str]:
    """The table of several tunings; the first line is the reader before."""
    if not found:
        return []
    first = found[0].comparison
    names = "".join(f"{name:>13}" for name in first.measures)
    heads = f"{names}{'trained':>12}{'seconds':>9}{'memory':>8}{'size':>8}"
    lines = [f"{first.questions:,} test questions; memory and size in MB", f"{'':10}{heads}"]
    lines.append(f"{'before':10}" + "".join(f"{100 * m.before:13.1f}" for m in first.measures.values()))
    for row in found:
        scores = "".join(f"{100 * m.after:13.1f}" for m in row.comparison.measures.values())
        costs = f"{row.trained_parameters:12,}{row.seconds:9.0f}{row.peak_mb:8.0f}{row.model_mb:8.2f}"
        lines.append(f"{row.name:10}{scores}{costs}")
    return lines


def comparison_lines(comparison: "Comparison | None") -> list[str]:
    """The table before / after of the test part; of a choice model also what each letter's questions gave."""
    if comparison is None:
        return []
    width = max(14, *(len(name) + 2 for name in comparison.measures))
    lines = [
        f"{comparison.questions:,} test questions",
        f"{'':{width}}{'before':>8}{'after':>8}  difference (95 %)",
    ]
    for name, value in comparison.measures.items():
        found = value.difference
        lines.append(
            f"{name:{width}}{100 * value.before:8.1f}{100 * value.after:8.1f}  "
            f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})  p = {found.p:.4f}"
        )
    if comparison.confusion is not None:
        from ragqa.evaluation.classes import table

        rows = table(comparison.confusion)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(map(str.rjust, row, widths)) for row in rows]
    return lines
