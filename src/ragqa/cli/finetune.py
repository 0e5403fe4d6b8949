"""``ragqa finetune``: train a model on labelled questions."""

import shlex
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from ragqa.cli.finetune_options import (
    TUNINGS,
    Backbone,
    Config,
    Data,
    DryRun,
    Freeze,
    HoldOut,
    Output,
    Resume,
    Search,
    StartFrom,
    TrainTop,
    Tuning,
    described,
    names_of,
)

app = typer.Typer(help="Train a model on labelled questions.", no_args_is_help=True)

MERGED = ("reader", "reranker", "generator", "choice")

COMPARED = ("reader", "retriever", "reranker", "generator", "choice")

_ASK = 'ragqa ask "…" '


@app.callback()
def group() -> None:
    """Train a model on labelled questions."""


def _enrol(target: str, description: str, usage: str) -> None:
    """Add the command that trains ``target``; ``usage`` is the command that its {model} is used with."""

    @app.command(target, help=description)
    def command(
        data: Data = None,
        config: Config = None,
        backbone: Backbone = None,
        start_from: StartFrom = None,
        tuning: Tuning = None,
        freeze: Freeze = None,
        train_top: TrainTop = None,
        hold_out: HoldOut = None,
        output: Output = None,
        search: Search = None,
        resume: Resume = False,
        dry_run: DryRun = False,
    ) -> None:
        which = {
            "backbone": backbone,
            "start_from": start_from,
            "tuning": tuning,
            "freeze": names_of(freeze),
            "train_top": train_top,
            "hold_out": hold_out,
        }
        _train(described(target, data, config, output=output, **which), usage, resume, dry_run, search)


_enrol(
    "reader",
    "Train the extractive reader further on questions of your own; metrics go to metrics.jsonl of the run.",
    _ASK + "--set reader.model={model}",
)


@app.command("retriever")
def retriever(
    data: Data = None,
    config: Config = None,
    backbone: Backbone = None,
    tuning: Tuning = None,
    both_sides: Annotated[
        bool | None,
        typer.Option(
            "--both-sides", help="Train what encodes passages, too; an index is then embedded anew."
        ),
    ] = None,
    freeze: Freeze = None,
    train_top: TrainTop = None,
    hold_out: HoldOut = None,
    output: Output = None,
    search: Search = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Train the encoder of queries (or of both) on questions of your own, so that the right passage comes first."""
    which = {
        "backbone": backbone,
        "tuning": tuning,
        "freeze": names_of(freeze),
        "train_top": train_top,
        "hold_out": hold_out,
        "both_sides": both_sides,
    }
    run = described("retriever", data, config, output=output, **which)
    whole = "ragqa index PATH --reembed --set encoder.model={model}"
    usage = whole if run.both_sides else _ASK + "--set encoder.query_model={model}"
    _train(run, usage, resume, dry_run, search)


_enrol(
    "reranker",
    "Train a model that reads each question with each hit and puts the one that answers first.",
    _ASK + "--set reranker.name=cross_encoder --set reranker.model={model}",
)
_enrol(
    "generator",
    "Train what writes the answer from the passages: a decoder of ours or, with --backbone, a language model.",
    _ASK + "--set reader.name=generative --set reader.model={model}",
)
_enrol(
    "choice",
    "Train a model that chooses among options (A to E); questions with answers get options from their passage.",
    _ASK + "--choices 'a|b|c' --set reader.model={model}",
)


@app.command("joint")
def joint(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Questions with answers, no passages needed; may be given repeatedly."),
    ] = None,
    config: Config = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="Index whose passages hold the answers.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="How often to search, label and train.")
    ] = None,
    output: Output = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Train retriever and reader together on questions and answers alone: each round labels its own passages."""
    from ragqa.cli.training_view import TrainingView, comparison_lines
    from ragqa.models.loading import quieten
    from ragqa.training.allocator import memory_named
    from ragqa.training.joint import finetune_jointly
    from ragqa.training.joint_plan import plan_jointly
    from ragqa.training.recording import recording

    quieten()
    run = described("joint", data, config, output=output, index=index, rounds=rounds)
    with memory_named(), closing(TrainingView()) as view:
        if dry_run:
            plan_jointly(run, view.show)
            return
        finished = finetune_jointly(
            run, resume=resume, report=view.show, recording=recording(view.show, resume=resume)
        )
    for line in comparison_lines(finished.comparison):
        typer.echo(line)
    retriever, reader = (shlex.quote(str(folder)) for folder in (finished.retriever, finished.reader))
    typer.echo(f"{finished.retriever}, {finished.reader}: use them with")
    if run.whole_encoder:
        typer.echo(f"ragqa index PATH --reembed --set encoder.model={retriever}")
    encoder = "model" if run.whole_encoder else "query_model"
    typer.echo(_ASK + f"--set encoder.{encoder}={retriever} --set reader.model={reader}")


def _train(run: Any, usage: str, resume: bool, dry_run: bool, tries: int | None) -> None:
    """Train, and print the comparison and how the model is used; of several processes this may be one."""
    from ragqa.cli.training_view import TrainingView, comparison_lines
    from ragqa.models.loading import quieten
    from ragqa.training.allocator import memory_named
    from ragqa.training.recording import recording
    from ragqa.training.run import finetune, plan
    from ragqa.training.searching import plan_search, settled, table
    from ragqa.training.workers import together

    quieten()
    with memory_named(), together() as workers, closing(TrainingView()) as view:
        if dry_run:
            if tries is None:
                plan(run, view.show)
            else:
                plan_search(run, tries, view.show)
            return
        run, tried = settled(run, tries, view.show, resume=resume)
        for line in table(tried, "validation score") if tried and workers.first else ():
            typer.echo(line)
        if not workers.first:  # one process records and prints for all
            finetune(run, resume=resume, report=view.show)
            return
        with recording(view.show, resume=resume)(run.output) as report:
            finished = finetune(run, resume=resume, report=report)
    for line in comparison_lines(finished.comparison):
        typer.echo(line)
    typer.echo(f"{finished.model}: use it with")
    typer.echo(usage.format(model=shlex.quote(str(finished.model))))


def pretrain(
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Documents to learn the language of."),
    ] = None,
    config: Config = None,
    backbone: Backbone = None,
    tuning: Tuning = None,
    freeze: Freeze = None,
    train_top: TrainTop = None,
    output: Output = None,
    search: Search = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Train a backbone on your documents, before a task: an encoder guesses hidden words, others the next."""
    from ragqa.backbone import resolve
    from ragqa.models.generator import is_writer

    which = {"backbone": backbone, "tuning": tuning, "freeze": names_of(freeze), "train_top": train_top}
    run = described("pretrain", data, config, output=output, **which)
    task = "generator" if is_writer(resolve(run.backbone)) else "reader"
    usage = f"ragqa finetune {task} --data my_questions.jsonl --backbone {{model}}"
    _train(run, usage, resume, dry_run, search)


@app.command("compare")
def compare(
    target: Annotated[
        str, typer.Option("--target", help=f"What is trained: {', '.join(COMPARED)}.")
    ] = "reader",
    data: Data = None,
    config: Config = None,
    backbone: Backbone = None,
    output: Output = None,
    tunings: Annotated[str, typer.Option("--tunings", help="Which, separated by commas.")] = ",".join(
        TUNINGS
    ),
) -> None:
    """Train one target with every tuning on the same questions and print one table."""
    from ragqa.cli.training_view import TrainingView, tuning_lines
    from ragqa.errors import UsageError
    from ragqa.models.loading import quieten
    from ragqa.training.comparing import compare_tunings

    if target not in COMPARED:
        raise UsageError(f"--target {target}", accepted=", ".join(COMPARED))
    quieten()
    names = names_of(tunings) or ()
    with closing(TrainingView()) as view:
        found = compare_tunings(
            described(target, data, config, output=output, backbone=backbone), names, view.show
        )
    for line in tuning_lines(found):
        typer.echo(line)


@app.command("merge")
def merge(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="builtin, or folders of trained models; two or more."),
    ],
    target: Annotated[str, typer.Option("--target", help=f"What they are: {', '.join(MERGED)}.")] = "reader",
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder (default: runs/TARGET_merged).")
    ] = None,
) -> None:
    """Write the mean of the weights of several models of one kind: a model of its own, or one to go on from."""
    from ragqa.errors import UsageError
    from ragqa.training.merging import merge as mean_of

    if target not in MERGED:
        raise UsageError(f"--target {target}", accepted=", ".join(MERGED))
    typer.echo(mean_of(target, models, output or Path("runs") / f"{target}_merged"))


@app.command("calibrate")
def calibrate(
    model: Annotated[Path, typer.Option("--model", help="Folder of the reader.")],
    data: Data = None,
    config: Config = None,
) -> None:
    """Fit the confidence and the operating point of a reader again, without training it."""
    from ragqa.cli.training_view import TrainingView
    from ragqa.training.recalibrating import calibrate_reader

    with closing(TrainingView()) as view:
        calibrate_reader(described("reader", data, config), model, view.show)
    typer.echo(f"{model}/calibration.json")
