"""What is left of a system's answers when questions or passages are changed: outcomes → one row for each change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragqa.evaluation.significance import paired

COLUMNS = ("", "questions", "F1 before", "F1", "change (95 %)", "p", "refused", "right", "misled")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question under one condition.

    Attributes:
        f1: of the answer given, 0 where none was, of options 1 or 0; None where the documents do not answer.
        right: a right answer, or a refusal where the documents do not answer.
        refused: no answer was given.
        misled: the answer was taken from a sentence that was added.
        stands: whether each quote cited stands at its place in the passages as they were read.
    """

    f1: float | None
    right: bool
    refused: bool
    misled: bool
    stands: bool


def change(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[str, Any]:
    """The same questions as asked and changed; the difference of F1 with its paired interval and p-value.

    Raises:
        ValueError: lists of unlike length, or no question.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} outcomes before, {len(after)} after")
    return {
        "questions": len(after),
        "F1": _difference(before, after),
        "refused": _share([o.refused for o in after]),
        "right": _share([o.right for o in after]),
        "right before": _share([o.right for o in before]),
        "misled": sum(o.misled for o in after),
        "quotes that stand at their place": _share([o.stands for o in after]),
    }


def rows(conditions: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """One row of ``COLUMNS`` for each condition."""
    found = []
    for name, row in conditions.items():
        f1 = row["F1"]
        figures = (
            [
                f"{f1['before']:.3f}",
                f"{f1['after']:.3f}",
                f"{f1['difference']:+.3f} ({f1['low']:+.3f} to {f1['high']:+.3f})",
                f"{f1['p']:.4f}",
            ]
            if f1
            else ["–"] * 4
        )
        shares = [f"{100 * row[share]:.1f} %" for share in ("refused", "right")]
        found.append([name, str(row["questions"]), *figures, *shares, str(row["misled"])])
    return found


def markdown(title: str, conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """The table as a page of Markdown."""
    lines = [f"# {title}\n", f"| {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(conditions)]
    lines += ["", *(f"- **{name}**: {row['means']}" for name, row in conditions.items())]
    return "\n".join(lines) + "\n"


def _difference(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[str, float]:
    """Nothing where the documents answer none of the questions."""
    known = [
        (b.f1, a.f1) for b, a in zip(before, after, strict=True) if b.f1 is not None and a.f1 is not None
    ]
    if not known:
        return {}
    first, second = zip(*known, strict=True)
    found = paired(first, second)
    values = {
        "before": float(np.mean(first)),
        "after": float(np.mean(second)),
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
    }
    return {**{name: round(value, 4) for name, value in values.items()}, "n": found.n}


def _share(flags: Sequence[bool]) -> float:
    return round(float(np.mean(flags)), 4)
