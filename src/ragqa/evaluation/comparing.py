"""Two evaluations of the same questions side by side, and a gate made of the differences."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragqa.errors import UsageError
from ragqa.evaluation.blame import GOOD
from ragqa.evaluation.scores import Record, question_scores
from ragqa.evaluation.significance import Difference, holm, paired

_CONDITION = re.compile(r"\s*([\w@ -]+?)\s*(>=|>)\s*([-+]?\d*\.?\d+)\s*")


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure in both runs; ``difference.p`` is corrected for the number of measures (Holm)."""

    before: float
    after: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class Change:
    """Two runs on the same questions; ``gained`` and ``lost`` are the questions that changed sides, by id."""

    measures: Mapping[str, Compared]
    gained: Sequence[str]
    lost: Sequence[str]

    def sentence(self) -> str:
        """The change in plain words; of retrieval alone where no answer can be judged."""
        right = self.measures.get("right")
        if right is None:
            return f"{len(self.measures)} measures of retrieval; no answer of these questions can be judged"
        sure = "" if right.difference.p <= 0.05 else ", which chance could explain"
        return (
            f"the second gets {len(self.gained)} more questions right and loses {len(self.lost)} "
            f"of {right.difference.n}; p = {right.difference.p:.4f}{sure}"
        )


def compare(before: Sequence[Record], after: Sequence[Record]) -> Change:
    """The second run beside the first.

    Raises:
        UsageError: they are about different questions.
    """
    first, second = ({r["id"]: r["question"] for r in records} for records in (before, after))
    if first != second:
        alone = len(first.items() ^ second.items())
        raise UsageError(
            f"the two evaluations differ in {alone} questions",
            accepted="two evaluations of the same questions",
        )
    ours, theirs = question_scores(before), question_scores(after)
    measured = {}
    for name in ours:
        # Another index may hold the gold rows of other questions.
        shared = [key for key in ours[name] if key in theirs[name]]
        if shared:
            mine, other = [ours[name][key] for key in shared], [theirs[name][key] for key in shared]
            measured[name] = (sum(mine) / len(mine), sum(other) / len(other), paired(mine, other))
    corrected = holm([difference.p for _, _, difference in measured.values()])
    measures = {
        name: Compared(b, a, Difference(d.mean, d.low, d.high, p, d.n))
        for (name, (b, a, d)), p in zip(measured.items(), corrected, strict=True)
    }
    verdicts = {r["id"]: r["verdict"] in GOOD for r in before if r["verdict"] is not None}
    now = {r["id"]: r["verdict"] in GOOD for r in after}
    gained = [key for key in verdicts if now.get(key) and not verdicts[key]]
    lost = [key for key in verdicts if verdicts[key] and not now.get(key)]
    return Change(measures, gained, lost)


@dataclass(frozen=True, slots=True)
class Condition:
    """A difference that must be reached: ``recall@5>=-0.01`` lets recall@5 lose a hundredth."""

    measure: str
    least: float
    strictly: bool

    def holds(self, change: Change) -> bool:
        found = change.measures[self.measure].difference.mean
        return found > self.least if self.strictly else found >= self.least - 1e-12


def gate(text: str, change: Change) -> list[Condition]:
    """The conditions of ``--gate``, separated by commas.

    Raises:
        UsageError: one that cannot be read, or a measure that the runs do not have.
    """
    known = {name.casefold(): name for name in change.measures}
    found = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part)
        name = known.get(match[1].casefold()) if match else None
        if match is None or name is None:
            raise UsageError(
                f"--gate {part.strip()!r}",
                accepted=f"conditions such as 'f1>=0, recall@5>=-0.01' on {', '.join(change.measures)}",
            )
        found.append(Condition(name, float(match[3]), match[2] == ">"))
    return found


def lines(change: Change, names: tuple[str, str]) -> list[str]:
    """The comparison as a table for a terminal."""
    width = max(len(name) for name in (*names, "before"))
    found = [f"{'':14}{names[0]:>{width + 2}}{names[1]:>{width + 2}}  difference (95 %)"]
    for name, value in change.measures.items():
        d = value.difference
        found.append(
            f"{name:14}{value.before:{width + 2}.3f}{value.after:{width + 2}.3f}  {d.told()}  p = {d.p:.4f}"
        )
    return [*found, "", change.sentence()]


def as_json(change: Change) -> dict[str, Any]:
    """The comparison as plain values."""
    return {
        "measures": {
            name: {
                "before": value.before,
                "after": value.after,
                "difference": value.difference.mean,
                "low": value.difference.low,
                "high": value.difference.high,
                "p": value.difference.p,
                "questions": value.difference.n,
            }
            for name, value in change.measures.items()
        },
        "gained": list(change.gained),
        "lost": list(change.lost),
    }
