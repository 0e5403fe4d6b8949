"""Scores and records as people read them: Markdown, a page that opens anywhere, and two plots."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragqa.evaluation.abstention import risk_coverage
from ragqa.evaluation.blame import MEANING, Verdict
from ragqa.evaluation.scores import MEASURES, Record, outcomes

RELIABILITY, RISK_COVERAGE = "reliability.png", "risk_coverage.png"
PLOTS = {
    RELIABILITY: "How often answers of a confidence are right",
    RISK_COVERAGE: "Wrong answers among those given, by how many are given",
}

SHOWN = 200
"""Questions of each verdict that the page lists."""

_BINS = 10
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 62rem; color: #1c2430 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #dde2ea; white-space: nowrap }
th:first-child, td:first-child { text-align: left } .range { color: #68738a; font-size: .82em }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } .plots img { max-width: 100%; width: 27rem }
details { border-bottom: 1px solid #dde2ea; padding: .35rem 0 } summary { cursor: pointer }
.q td { white-space: normal; text-align: left; vertical-align: top }
@media (prefers-color-scheme: dark) { body { background: #14181f; color: #dfe5ee }
  th, td, details { border-color: #333c4a } .plots img { background: #fff } .range { color: #96a2b8 } }
"""

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Heading, columns, rows."""


def tables(scores: Mapping[str, Any]) -> Iterator[Table]:
    """Every table of a report; a mean comes with its 95 % interval."""
    retrieval = scores["retrieval"]
    if retrieval:
        rows = [[name, *(_mean(retrieval[leg][name]) for leg in retrieval)] for name in MEASURES]
        yield "Retrieval", ["", *retrieval], rows
    if scores["answers"]:
        columns = {"all": scores["answers"], **scores.get("answers by language", {})}
        rows = [
            [name, *(_mean(group.get(name, {})) for group in columns.values())] for name in scores["answers"]
        ]
        yield "Answers", ["", *columns], rows
    if options := scores.get("options"):
        rows = [
            [letter, *(f"{found[name]:.3f}" for name in ("precision", "recall", "F1")), str(found["n"])]
            for letter, found in options["classes"].items()
        ]
        yield "Options", ["", "precision", "recall", "F1", "questions"], rows
        letters = list(options["classes"])
        rows = [
            [letter, *map(str, counts)] for letter, counts in zip(letters, options["confusion"], strict=True)
        ]
        yield "Right option (row) and the likeliest to the reader (column)", ["", *letters], rows
    if scores["verdicts"]:
        total = sum(scores["verdicts"].values())
        rows = [
            [name, str(count), f"{100 * count / total:.1f} %", MEANING[Verdict(name)]]
            for name, count in scores["verdicts"].items()
        ]
        yield "Whose fault", ["", "questions", "share", "which means"], rows
        rows = [
            [name, "–" if value is None else f"{value:.3f}"] for name, value in scores["confidence"].items()
        ]
        yield "Confidence and refusals", ["", ""], rows
    if scores["citations"]:
        yield "Citations", ["", ""], [[name, _mean(value)] for name, value in scores["citations"].items()]


def markdown(title: str, scores: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    parts = [f"# {title}\n", f"{_counted(scores)}\n"]
    for heading, columns, rows in tables(scores):
        parts.append(f"## {heading}\n")
        parts.append(f"| {' | '.join(columns)} |")
        parts.append(f"|---|{'---:|' * (len(columns) - 1)}")
        parts += [f"| {' | '.join(row)} |" for row in rows]
        parts.append("")
    if scores["verdicts"]:
        parts += [f"![{says}]({name})" for name, says in PLOTS.items()]
    return "\n".join(parts) + "\n"


def page(title: str, scores: Mapping[str, Any], records: Sequence[Record], folder: Path) -> str:
    """One HTML page with everything in it, the plots of ``folder`` included."""
    parts = [f"<h1>{html.escape(title)}</h1><p>{html.escape(_counted(scores))}</p>"]
    for heading, columns, rows in tables(scores):
        parts.append(f"<h2>{html.escape(heading)}</h2><div class=wide><table><tr>")
        parts += [f"<th>{html.escape(column)}</th>" for column in columns]
        parts.append("</tr>")
        for row in rows:
            parts.append("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>")
        parts.append("</table></div>")
    if scores["verdicts"]:
        parts.append("<h2>Plots</h2><div class=plots>")
        for name, says in PLOTS.items():
            image = base64.b64encode((folder / name).read_bytes()).decode()
            parts.append(f'<img alt="{says}" src="data:image/png;base64,{image}">')
        parts.append("</div><h2>Questions</h2>")
    for name in Verdict:
        mine = [r for r in records if r["verdict"] == name.value]
        if mine:
            parts.append(f"<details><summary>{html.escape(name.value)} ({len(mine)})</summary>")
            parts.append(
                "<table class=q><tr><th>question</th><th>gold</th><th>answer</th><th>confidence</th></tr>"
            )
            parts += [_question(record) for record in mine[:SHOWN]]
            parts.append("</table>")
            if len(mine) > SHOWN:
                parts.append(f"<p>{len(mine) - SHOWN} more are in per_question.jsonl.</p>")
            parts.append("</details>")
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    return f"{head}{''.join(parts)}</html>\n"


def draw(records: Sequence[Record], folder: Path) -> None:
    """The two plots: reliability, and risk over coverage; none where no answer can be judged."""
    from matplotlib.figure import Figure

    judged = [r for r in records if r["verdict"] is not None]
    if not judged:
        return
    confidence, right = outcomes(judged)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    which = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = [b for b in range(_BINS) if (which == b).any()]
    shares = [float(right[which == b].mean()) for b in filled]
    axes.bar([(b + 0.5) / _BINS for b in filled], shares, width=0.9 / _BINS, color="#1f5fa8")
    for b, share in zip(filled, shares, strict=True):
        axes.annotate(
            str(int((which == b).sum())), ((b + 0.5) / _BINS, share), ha="center", va="bottom", fontsize=8
        )
    axes.plot([0, 1], [0, 1], color="#b3541e", linestyle="--", linewidth=1)
    axes.set(xlabel="confidence", ylabel="right answers", xlim=(0, 1), ylim=(0, 1.08))
    _save(figure, axes, folder / RELIABILITY)
    curve = risk_coverage(confidence, right)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.step(curve.coverage, curve.risk, where="post", color="#1f5fa8")
    axes.set(xlabel="questions answered", ylabel="wrong among them", xlim=(0, 1), ylim=(0, 1))
    _save(figure, axes, folder / RISK_COVERAGE)


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _counted(scores: Mapping[str, Any]) -> str:
    questions = scores["questions"]
    said = (
        f"{questions['asked']:,} questions with options."
        if "options" in scores
        else f"{questions['asked']:,} questions, of which the documents answer {questions['answerable']:,}."
    )
    if questions["left out"]:
        said += f" {questions['left out']:,} more could not be judged on this index."
    return said


def _mean(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.3f} ({value['low']:.3f}–{value['high']:.3f})" if value else "–"


def _cell(value: str) -> str:
    text = html.escape(value)
    figure, opening, rest = text.partition(" (")
    return f"{figure} <span class=range>({rest}</span>" if opening and rest[:1].isdigit() else text


def _question(record: Record) -> str:
    cells = (
        record["question"],
        " / ".join(record["gold"]) or "–",
        record["answer"] or f"– (would have been: {record['candidate']})",
        f"{record['confidence']:.2f}",
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
