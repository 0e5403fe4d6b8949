"""``ragqa finetune``: train a model on labelled questions."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Train a model on labelled questions.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Train a model on labelled questions."""


@app.command("reader")
def reader(
    config: Annotated[Path, typer.Option("--config", help="YAML file that describes the run.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")
    ] = False,
) -> None:
    """Train the extractive reader; metrics go to metrics.jsonl in the run's folder."""
    from ragqa.cli.printing import complain
    from ragqa.training.run import finetune_reader, load_run

    _quieten_transformers()
    run = load_run(config)
    run.output.mkdir(parents=True, exist_ok=True)
    with (run.output / "metrics.jsonl").open("a", encoding="utf-8") as metrics:

        def report(values: dict[str, Any]) -> None:
            metrics.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")
            metrics.flush()
            complain("  ".join(f"{name} {value}" for name, value in values.items()))

        folder = finetune_reader(run, resume=resume, report=report)
    typer.echo(f"{folder}: use it with --set reader.model={folder}")


@app.command("calibrate")
def calibrate(
    config: Annotated[Path, typer.Option("--config", help="YAML file of the run that trained the reader.")],
    model: Annotated[Path, typer.Option("--model", help="Folder of the reader.")],
) -> None:
    """Fit the confidence and the operating point of a reader again, without training it."""
    from ragqa.cli.printing import complain
    from ragqa.training.run import calibrate_reader, load_run

    calibrate_reader(load_run(config), model, lambda values: complain(json.dumps(values)))
    typer.echo(f"{model}/calibration.json")


def _quieten_transformers() -> None:
    """No load reports and bars of transformers between ours: an encoder without its pooler is what is wanted."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
