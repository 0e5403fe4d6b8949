"""``ragqa eval``: how good the answers are, how sure, and whose fault the wrong ones are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragqa.cli.evaluate_once import DEFAULT_OUTPUT, Data, Limit, evaluated, listed_left_out, questions_of
from ragqa.cli.evaluate_variants import baselines, prompts
from ragqa.cli.options import DEFAULT_INDEX, ConfigFile, Index, Json, Overrides, asked_config

if TYPE_CHECKING:
    from ragqa.evaluating import Evaluation

app = typer.Typer(help="Measure retrieval and answers on labelled questions.", invoke_without_command=True)

GATE_CLOSED = 5
"""Exit code when a condition of ``--gate`` does not hold."""


@app.callback()
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Labelled questions: by place in a document, or with their passage; kb: the project's own.",
        ),
    ] = None,
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Folder of the evaluation (default: evaluations/NAME of the questions)."
        ),
    ] = None,
    limit: Limit = None,
    own_passage: Annotated[
        bool,
        typer.Option(
            "--own-passage", help="Read each question with the passage it comes with; nothing is retrieved."
        ),
    ] = False,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
) -> None:
    """Ask labelled questions and tell how good the answers are and whether retriever or reader lost them."""
    if context.invoked_subcommand is not None:
        return
    from ragqa.errors import UsageError

    if data is None:
        raise UsageError(
            "there are no questions", accepted="--data QUESTIONS.jsonl", next_step="ragqa eval --help"
        )
    folder = output or DEFAULT_OUTPUT / (f"{data.stem}_own_passage" if own_passage else data.stem)
    _print(evaluated(data, index, folder, limit, config, overrides, own_passage), as_json)


def _print(finished: "Evaluation", as_json: bool) -> None:
    from ragqa.cli.printing import json_line
    from ragqa.evaluation.latency import lines
    from ragqa.evaluation.report import tables

    if as_json:
        print(json_line(finished.scores))
        return
    for heading, columns, rows in tables(finished.scores):
        if heading == "Whose fault":
            columns, rows = columns[:3], [row[:3] for row in rows]
        print(f"{heading}")
        print("\n".join(f"  {line}" for line in _columns([columns, *rows])) + "\n")
    print("\n".join(lines(finished.speed)) + "\n")
    print(f"{finished.folder}/report.html")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, the first column to the left and the others to the right; empty rows have none."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            [f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
        if any(row)
    ]


app.command("baselines")(baselines)
app.command("prompts")(prompts)


@app.command("robustness")
def robustness(
    data: Data,
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder of the figures (default: evaluations/NAME_robustness)."),
    ] = None,
    limit: Limit = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
) -> None:
    """Ask the same questions with typos, in other words and of passages that mislead; tell what each costs."""
    from ragqa.cli.printing import json_line, show_progress
    from ragqa.evaluation.enduring import COLUMNS, rows
    from ragqa.pipeline import load_pipeline
    from ragqa.robustness import REPORT, probe

    folder = output or DEFAULT_OUTPUT / f"{data.stem}_robustness"
    with (
        load_pipeline(index, asked_config(config, overrides), overrides) as pipeline,
        listed_left_out(folder) as left_out,
    ):
        found = probe(
            pipeline,
            questions_of(data),
            folder,
            limit=limit,
            on_bad=left_out,
            progress=show_progress,
        )
    if as_json:
        print(json_line(found))
        return
    print("\n".join(_columns([COLUMNS, *rows(found)])))
    print(f"\n{folder}/{REPORT}")


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="Folder of the first evaluation.")],
    after: Annotated[Path, typer.Argument(help="Folder of the second, on the same questions.")],
    gate: Annotated[
        str | None,
        typer.Option("--gate", help="Differences that must be reached, as in 'f1>=0, recall@5>=-0.01'."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put two evaluations side by side: differences, intervals, p-values, questions that changed sides."""
    from ragqa.cli.printing import json_line
    from ragqa.evaluation.comparing import as_json as plain
    from ragqa.evaluation.comparing import compare as put_side_by_side
    from ragqa.evaluation.comparing import gate as conditions_of
    from ragqa.evaluation.comparing import lines
    from ragqa.evaluation_folder import load_records

    change = put_side_by_side(load_records(before), load_records(after))
    conditions = [] if gate is None else conditions_of(gate, change)
    failed = [c for c in conditions if not c.holds(change)]
    if as_json:
        found: dict[str, Any] = plain(change)
        if gate is not None:
            found["gate"] = {"conditions": gate, "failed": [c.measure for c in failed]}
        print(json_line(found))
    else:
        for line in lines(change, (before.name, after.name)):
            print(line)
        for condition in failed:
            value = change.measures[condition.measure].difference.mean
            print(
                f"the gate stays closed: {condition.measure} changed by {value:+.4f}, wanted {condition.least:+.4f}"
            )
    if failed:
        raise typer.Exit(GATE_CLOSED)
