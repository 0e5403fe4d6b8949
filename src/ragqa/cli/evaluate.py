"""``ragqa eval``: how good the answers are, how sure, and whose fault the wrong ones are."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Examples,
    Index,
    Json,
    Overrides,
    Shots,
    asked_config,
    prompt_overrides,
)

if TYPE_CHECKING:
    from ragqa.cli.left_out import LeftOut
    from ragqa.config import Config
    from ragqa.evaluating import Evaluation

app = typer.Typer(help="Measure retrieval and answers on labelled questions.", invoke_without_command=True)

GATE_CLOSED = 5
"""Exit code when a condition of ``--gate`` does not hold."""

DEFAULT_OUTPUT = Path("evaluations")

LEFT_OUT = "left_out.txt"
"""In the folder of an evaluation: every question that could not be used, and why."""

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many questions.")]


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
    _print(_evaluated(data, index, folder, limit, config, overrides, own_passage), as_json)


OWN = "kb"
"""What ``--data`` takes for the project's own question set, which asks about the folder of that name beside it."""


def _questions(data: Path) -> Path:
    """The questions that ``--data`` means; ``kb`` are the project's own, unless a file or BEIR folder has that name.

    Raises:
        UsageError: the own questions are asked for where ragqa does not run from its repository.
    """
    from ragqa.errors import UsageError

    if str(data) != OWN or data.is_file() or (data / "corpus.jsonl").is_file():
        return data
    own = Path(__file__).resolve().parents[3] / "tests" / "kb_questions.jsonl"
    if not own.is_file():
        raise UsageError(
            "--data kb: the project's own questions are part of its repository, not of an installation",
            accepted="--data QUESTIONS.jsonl, or a checkout of the repository",
        )
    return own


def _print(finished: "Evaluation", as_json: bool) -> None:
    from ragqa.evaluation.latency import lines
    from ragqa.evaluation.report import tables

    if as_json:
        print(json.dumps(finished.scores, ensure_ascii=False))
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


RERANKED = "hybrid, reranked"
NO_RETRIEVAL = "no retrieval"
BASELINES = {
    NO_RETRIEVAL: ("fusion.method=none", "reranker=none"),
    "BM25 alone": ("fusion.method=convex", "fusion.dense_weight=0", "reranker=none"),
    "dense alone": ("fusion.method=convex", "fusion.dense_weight=1", "reranker=none"),
    "hybrid": ("reranker=none",),
    RERANKED: ("reranker=cross_encoder",),
}
"""What `eval baselines` runs, and how each differs from the configuration; see ``settings_of_baseline``."""

COLUMNS = ("recall@1", "recall@5", "nDCG@10", "exact match", "F1", "right")


def settings_of_baseline(name: str, config: "Config") -> tuple[str, ...]:
    """What a baseline sets on top of a configuration.

    The configuration's own reranker is taken, if it names one. Without retrieval a reader that can answer from the
    question alone does so; the others refuse.
    """
    from ragqa.plugins import options

    if name == RERANKED and config.reranker.name != "none":
        return ()
    closed = name == NO_RETRIEVAL and "closed_book" in options("readers", config.reader.name)
    return (*BASELINES[name], *(("reader.closed_book=true",) if closed else ()))


@app.command("baselines")
def baselines(
    data: Annotated[Path, typer.Option("--data", help="Labelled questions.")],
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder of the evaluations (default: evaluations/baselines)."),
    ] = None,
    limit: Limit = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Evaluate the reader without retrieval, BM25 alone, dense alone, the hybrid and the hybrid reranked; one table."""
    from ragqa.cli.printing import complain
    from ragqa.errors import ModelError
    from ragqa.indexing import remembered_config

    asked = asked_config(config, overrides)
    own = remembered_config(index, overrides) if asked is None else asked
    folder = output or DEFAULT_OUTPUT / "baselines"
    print(f"{'':18}" + "".join(f"{name:>13}" for name in COLUMNS))
    for name in BASELINES:
        settings = settings_of_baseline(name, own)
        place = folder / name.replace(",", "").replace(" ", "_").lower()
        try:
            finished = _evaluated(data, index, place, limit, config, [*overrides, *settings])
        except ModelError as fault:
            complain(f"{name}: {fault}")
            continue
        means = _means(finished)
        print(f"{name:18}" + "".join(f"{means[c]:13.3f}" if c in means else f"{'–':>13}" for c in COLUMNS))


@app.command("prompts")
def prompts(
    data: Annotated[Path, typer.Option("--data", help="Labelled questions.")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            help="A template by name or as a Jinja file; several times for several. The first is what the others are "
            "compared with. (default: zero_shot, few_shot, only_passages)",
            show_default=False,
        ),
    ] = None,
    shots: Shots = None,
    examples: Examples = None,
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder of the evaluations (default: evaluations/NAME_prompts)."),
    ] = None,
    limit: Limit = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Ask the same questions with several templates of prompts; one table, with the differences to the first.

    Worked examples (--shots, --examples) go to the templates that have a place for them.
    """
    from ragqa.evaluation.comparing import compare
    from ragqa.templates import Template

    chosen = list(dict.fromkeys(prompt or PROMPTS))
    # All are checked before one is asked.
    shown = {name: "shots" in Template(name, "en").used for name in chosen}
    folder = output or DEFAULT_OUTPUT / f"{data.stem}_prompts"
    width = max(map(len, chosen))
    print(
        f"{'':{width}}" + "".join(f"{name:>15}" for name in PROMPT_COLUMNS) + "  F1 beside the first (95 %)"
    )
    first: Evaluation | None = None
    for name in chosen:
        more = {"shots": shots, "examples": examples} if shown[name] else {}
        reader, settings = prompt_overrides({"prompt": name, **more}, None, index, config, overrides)
        settings = [*([f"reader={reader}"] if reader else []), *overrides, *settings]
        finished = _evaluated(data, index, folder / Path(name).stem, limit, config, settings)
        change = None if first is None else compare(first.records, finished.records).measures.get("F1")
        told = "" if change is None else f"  {change.difference.told()}  p = {change.difference.p:.4f}"
        print(f"{name:{width}}" + _prompt_cells(finished) + told, flush=True)
        first = first or finished
    print(f"\n{folder}/")


PROMPTS = ("zero_shot", "few_shot", "only_passages")
PROMPT_COLUMNS = ("exact match", "F1", "right", "tokens, mean", "reading, ms")


def _prompt_cells(finished: "Evaluation") -> str:
    """A row under ``PROMPT_COLUMNS``; the time is the median of questions asked one by one."""
    means = _means(finished)
    tokens = [record["prompt tokens"] for record in finished.records if "prompt tokens" in record]
    cells = [f"{means[name]:.3f}" if name in means else "–" for name in PROMPT_COLUMNS[:3]]
    cells.append(f"{sum(tokens) / len(tokens):.0f}" if tokens else "–")
    cells.append(f"{finished.speed['milliseconds']['read']['p50']:.0f}")
    return "".join(f"{cell:>15}" for cell in cells)


def _means(finished: "Evaluation") -> dict[str, float]:
    from ragqa.evaluation.scores import question_scores

    return {
        name: sum(found.values()) / len(found)
        for name, found in question_scores(finished.records).items()
        if found
    }


def _evaluated(
    data: Path,
    index: Path,
    folder: Path,
    limit: int | None,
    config: Path | None,
    overrides: list[str],
    own_passage: bool = False,
) -> "Evaluation":
    """Ask the questions and write the report."""
    from ragqa.cli.printing import show_progress
    from ragqa.evaluating import evaluate as run
    from ragqa.evaluating import write_report
    from ragqa.pipeline import load_pipeline

    data = _questions(data)
    with (
        load_pipeline(index, asked_config(config, overrides), overrides) as pipeline,
        _listed_left_out(folder) as left_out,
    ):
        finished = run(
            pipeline,
            data,
            folder,
            limit=limit,
            own_passage=own_passage,
            on_bad=left_out,
            progress=show_progress,
        )
    write_report(finished, f"{data.name} over {index}")
    return finished


@contextmanager
def _listed_left_out(folder: Path) -> Iterator["LeftOut"]:
    """The questions that are left out are named, and all of them written into the folder."""
    from ragqa.cli.left_out import LeftOut

    left_out, listing = LeftOut(f"all are in {folder / LEFT_OUT}"), folder / LEFT_OUT
    yield left_out
    left_out.close()
    if left_out.reasons:
        listing.write_text("".join(f"{reason}\n" for reason in left_out.reasons), encoding="utf-8")
    else:
        listing.unlink(missing_ok=True)  # of an earlier run


@app.command("robustness")
def robustness(
    data: Annotated[Path, typer.Option("--data", help="Labelled questions.")],
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
    from ragqa.cli.printing import show_progress
    from ragqa.evaluation.enduring import COLUMNS, rows
    from ragqa.pipeline import load_pipeline
    from ragqa.robustness import REPORT, probe

    folder = output or DEFAULT_OUTPUT / f"{data.stem}_robustness"
    with (
        load_pipeline(index, asked_config(config, overrides), overrides) as pipeline,
        _listed_left_out(folder) as left_out,
    ):
        found = probe(
            pipeline,
            _questions(data),
            folder,
            limit=limit,
            on_bad=left_out,
            progress=show_progress,
        )
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
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
        print(json.dumps(found, ensure_ascii=False))
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
