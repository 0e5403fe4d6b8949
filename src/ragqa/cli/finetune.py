"""``ragqa finetune``: train a model on labelled questions."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Train a model on labelled questions.", no_args_is_help=True)

Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file that describes the run; --data alone needs none.")
]
TUNINGS = ("full", "lora", "adapter", "bitfit", "prompt")

Data = Annotated[
    Path | None, typer.Option("--data", help="Labelled questions: JSON Lines, or JSON in the form of SQuAD.")
]


@app.callback()
def group() -> None:
    """Train a model on labelled questions."""


@app.command("reader")
def reader(
    data: Data = None,
    config: Config = None,
    tuning: Annotated[
        str | None, typer.Option("--tuning", help=f"Which weights train: {', '.join(TUNINGS)}.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder of the run (default: runs/reader).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the data, tell what would happen, and stop.")
    ] = False,
) -> None:
    """Train the extractive reader further on questions of your own; metrics go to metrics.jsonl of the run."""
    from ragqa.cli.training_view import TrainingView, comparison_lines
    from ragqa.training.run import finetune_reader, plan_reader

    _quieten_transformers()
    run = _run(data, config, output=output, tuning=tuning)
    with closing(TrainingView()) as view:
        if dry_run:
            plan_reader(run, view.show)
            return
        run.output.mkdir(parents=True, exist_ok=True)
        with (run.output / "metrics.jsonl").open("a", encoding="utf-8") as metrics:

            def report(values: dict[str, Any]) -> None:
                metrics.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")
                metrics.flush()
                view.show(values)

            finished = finetune_reader(run, resume=resume, report=report)
    for line in comparison_lines(finished.comparison):
        typer.echo(line)
    typer.echo(f"{finished.model}: use it with --set reader.model={finished.model}")


@app.command("compare")
def compare(
    data: Data = None,
    config: Config = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder of the runs (default: runs/reader).")
    ] = None,
    tunings: Annotated[str, typer.Option("--tunings", help="Which, separated by commas.")] = ",".join(
        TUNINGS
    ),
) -> None:
    """Train the reader with every tuning on the same questions and print one table."""
    from ragqa.cli.training_view import TrainingView, tuning_lines
    from ragqa.training.comparing import compare_tunings

    _quieten_transformers()
    names = [name.strip() for name in tunings.split(",") if name.strip()]
    with closing(TrainingView()) as view:
        found = compare_tunings(_run(data, config, output=output), names, view.show)
    for line in tuning_lines(found):
        typer.echo(line)


@app.command("calibrate")
def calibrate(
    model: Annotated[Path, typer.Option("--model", help="Folder of the reader.")],
    data: Data = None,
    config: Config = None,
) -> None:
    """Fit the confidence and the operating point of a reader again, without training it."""
    from ragqa.cli.training_view import TrainingView
    from ragqa.training.run import calibrate_reader

    with closing(TrainingView()) as view:
        calibrate_reader(_run(data, config), model, view.show)
    typer.echo(f"{model}/calibration.json")


def _run(data: Path | None, config: Path | None, **options: Any) -> Any:
    """The run that the options describe: a file's, or one that trains the shipped reader further.

    Raises:
        UsageError: neither data nor a file.
    """
    from ragqa.errors import UsageError
    from ragqa.training.settings import ReaderRun, load_run

    if config is None and data is None:
        raise UsageError(
            "there is nothing to train on",
            accepted="--data QUESTIONS.jsonl, or --config RUN.yaml",
            next_step="ragqa finetune reader --data my_questions.jsonl --dry-run",
        )
    given = {name: value for name, value in {"data": data, **options}.items() if value is not None}
    if config is None:
        return ReaderRun(start_from="builtin", **given)
    return ReaderRun.model_validate({**load_run(config).model_dump(), **given})


def _quieten_transformers() -> None:
    """No load reports and bars of transformers between ours: an encoder without its pooler is what is wanted."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
