"""``ragqa tune``: settings fitted on questions, each with its curve, and a configuration that holds them."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragqa.cli.options import DEFAULT_INDEX, ConfigFile, Index, Json, Overrides, asked_config

if TYPE_CHECKING:
    from ragqa.config import Config
    from ragqa.fitted import Curve, Fitted, Gain, Given

HEADING = "# Written by `ragqa tune`"
"""How the files begin that a later run may replace."""

_BAR = 24


def tune(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Labelled questions; without them some are made from the documents."),
    ] = None,
    index: Index = DEFAULT_INDEX,
    output: Annotated[Path, typer.Option("--output", help="YAML file for the fitted configuration.")] = Path(
        "tuned.yaml"
    ),
    max_risk: Annotated[
        float | None,
        typer.Option("--max-risk", help="Aim at this share of errors, as 0.1, or less among given answers."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first so many questions.")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
) -> None:
    """Fit fusion, top_k, retrieval weight and threshold to your documents, and write a configuration."""
    from ragqa.cli.left_out import LeftOut
    from ragqa.cli.printing import json_line, show_progress
    from ragqa.fitting import fit
    from ragqa.pipeline import load_pipeline

    _make_room(output)
    with (
        load_pipeline(index, asked_config(config, overrides), overrides) as pipeline,
        closing(LeftOut("ragqa eval lists all")) as left_out,
    ):
        fitted = fit(
            pipeline,
            data,
            limit=limit,
            max_risk=max_risk,
            on_bad=left_out,
            progress=lambda stage, done, of: show_progress(done, of, stage),
        )
    _write(output, fitted.config)
    command = f"ragqa ask --config {shlex.quote(str(output))}"
    if index != DEFAULT_INDEX:
        command += f" --index {shlex.quote(str(index))}"
    if as_json:
        print(json_line(_plain(fitted, output)))
    else:
        print("\n".join([*_lines(fitted), f"{output}", f'{command} "…"']))


def _make_room(output: Path) -> None:
    """Make the folder of the file, before the work begins.

    Raises:
        UsageError: the file is there and was written by someone else, or no file can be there.
    """
    from ragqa.errors import UsageError

    accepted = "a new YAML file, or one that ragqa tune wrote"
    try:
        present = output.read_text(encoding="utf-8") if output.exists() else HEADING
    except (OSError, UnicodeDecodeError):
        present = ""
    if not present.startswith(HEADING):
        raise UsageError(f"--output {output} is there already", accepted=accepted)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(
            f"the folder of --output {output} cannot be made: {fault.strerror}", accepted="a place for a file"
        ) from fault


def _write(output: Path, config: "Config") -> None:
    """The whole configuration: of a file given by ``--config`` nothing is taken from the index.

    Raises:
        UsageError: the file cannot be written.
    """
    import yaml

    from ragqa.errors import UsageError

    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    try:
        output.write_text(f"{HEADING}\n{text}", encoding="utf-8")
    except OSError as fault:
        raise UsageError(
            f"--output {output} cannot be written: {fault.strerror}", accepted="a place for a file"
        ) from fault


def _plain(fitted: "Fitted", output: Path) -> dict[str, Any]:
    found = asdict(fitted)
    found["config"] = fitted.config.model_dump(mode="json")
    return {**found, "output": str(output)}


def _lines(fitted: "Fitted") -> Iterator[str]:
    left_out = f", {fitted.left_out:,} left out" if fitted.left_out else ""
    yield f"{fitted.questions:,} questions{left_out}"
    for curve in fitted.curves:
        yield ""
        yield from _curve_lines(curve)
    yield ""
    yield from _gain_lines(fitted.gains)
    if fitted.answers is not None:
        yield from _answer_lines(*fitted.answers)
    yield ""
    for note in fitted.notes:
        yield f"note: {note}"


def _curve_lines(curve: "Curve") -> Iterator[str]:
    """One line a value: the scores, a bar of the first, and which value stood and which is taken."""
    first = next(iter(curve.scores.values()))
    low, high = min(first), max(first)
    yield f"{curve.setting}, {curve.questions:,} questions"
    yield f"  {'':8}" + "".join(f"{name:>10}" for name in curve.scores)
    for row, value in enumerate(curve.values):
        bar = "▪" * round(_BAR * (first[row] - low) / (high - low)) if high > low else ""
        mark = ""
        if value == curve.chosen:
            mark = "← stays" if curve.chosen == curve.present else "← chosen"
        elif value == curve.present:
            mark = "(before)"
        scores = "".join(f"{column[row]:10.4f}" for column in curve.scores.values())
        yield f"  {value:8.4g}{scores}  {bar:{_BAR}}  {mark}".rstrip()


def _gain_lines(gains: "Sequence[Gain]") -> Iterator[str]:
    names = [f"{gain.measure}, {gain.difference.n:,} {gain.where}" for gain in gains]
    wide = max(map(len, names))
    yield f"  {'':{wide}}  before   after  {'difference (95 % interval)':30}      p"
    for name, gain in zip(names, gains, strict=True):
        change = gain.difference
        interval = f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
        yield f"  {name:{wide}}  {gain.before:.4f}  {gain.after:.4f}  {interval:30}  {change.p:.3f}"


def _answer_lines(before: "Given", after: "Given") -> Iterator[str]:
    yield ""
    for name, one in (("before", before), ("after", after)):
        share = one.given / one.questions
        yield f"  {name}: {one.given:,} of {one.questions:,} questions answered ({share:.1%}), {_errors(one)}"


def _errors(one: "Given") -> str:
    from ragqa.evaluation.choosing import wilson

    if not one.given:
        return "none wrong"
    low, high = wilson(one.wrong, one.given)
    return f"{one.wrong:,} of them wrong: {one.wrong / one.given:.1%} (95 % interval {low:.1%} to {high:.1%})"
