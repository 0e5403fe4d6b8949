"""What the commands of ``ragqa finetune`` may be told, and the run that this describes."""

from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file that describes the run; --data alone needs none.")
]
TUNINGS = ("full", "lora", "adapter", "bitfit", "prompt")

Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Labelled questions: JSON Lines, JSON in the form of SQuAD, a BEIR folder, for choice also CommonsenseQA, "
        "RACE, instructions with options; may be given repeatedly.",
    ),
]
Backbone = Annotated[
    str | None, typer.Option("--backbone", help="The model to train: builtin, a folder, hf:OWNER/NAME.")
]
Tuning = Annotated[str | None, typer.Option("--tuning", help=f"Which weights train: {', '.join(TUNINGS)}.")]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--start-from",
        help="The model to go on from: builtin (the shipped one), reader (its encoder), a folder.",
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(
        "--freeze",
        help="What stays as it is, in the place of word_embeddings: embeddings, layers.0-3, encoder; by commas.",
    ),
]
TrainTop = Annotated[
    int | None,
    typer.Option("--train-top", min=0, help="Train so many of the last layers only, and the head."),
]
HoldOut = Annotated[
    str | None,
    typer.Option(
        "--hold-out",
        help="What judges the run: documents (the default), or questions about documents it saw.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", help="Folder of the run (default: runs/TARGET).")]
Search = Annotated[
    int | None,
    typer.Option("--search", min=2, help="First try so many learning rates on a slice, and take the best."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the data, tell what would happen, and stop.")]


def names_of(text: str | None) -> tuple[str, ...] | None:
    """Names separated by commas."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def described(target: str, data: list[Path] | None, config: Path | None, **options: Any) -> Any:
    """The run that the options describe.

    Raises:
        UsageError: neither data nor a file.
        ConfigError: a setting that does not fit.
    """
    from ragqa.errors import UsageError
    from ragqa.training.run_files import load_run, run_of
    from ragqa.training.settings import RUNS, JointRun

    kind: Any = {**RUNS, JointRun.target: JointRun}[target]
    if config is None and not data:
        raise UsageError(
            "there is nothing to train on",
            accepted="--data QUESTIONS.jsonl, or --config RUN.yaml",
            next_step=kind.command(),
        )
    given = {name: value for name, value in {"data": data or None, **options}.items() if value is not None}
    if config is not None:
        return load_run(config, kind, given)
    return run_of(kind, given)
