"""``ragqa ask``: one question, or one a line from stdin."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Examples,
    Index,
    Json,
    Overrides,
    Reader,
    Shots,
    Strict,
    TopK,
    asked_config,
    check_top_k,
    prompt_overrides,
    reader_overrides,
)

if TYPE_CHECKING:
    from ragqa.pipeline import Pipeline
    from ragqa.types import Answer

CHOOSES = "multiple_choice"
"""The reader that ``--choices`` means."""

NO_ANSWER = 3
"""Exit code when the documents do not answer (any) question."""


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads one question a line from stdin.")],
    choices: Annotated[
        str | None, typer.Option("--choices", help="Options to choose from, as in 'a day|a week|a month'.")
    ] = None,
    reader: Reader = None,
    strict: Strict = False,
    top_k: TopK = None,
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", help="How a language model is asked: a template's name, or a Jinja file."),
    ] = None,
    shots: Shots = None,
    examples: Examples = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", help="JSON Schema that the answer shall fit; it is JSON then.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how each stage came to its result.")
    ] = False,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Show the answer while it is written (default: on a terminal); with --json as events, one a line.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Answer a question from the documents, with the exact words cited."""
    from ragqa.errors import UsageError
    from ragqa.pipeline import check_query, load_pipeline

    check_top_k(top_k)
    options = _options(choices)
    if options and reader not in (None, CHOOSES):
        raise UsageError(f"--choices with --reader {reader}", accepted=f"--reader {CHOOSES}")
    reader = CHOOSES if options else reader
    prompted = {"prompt": prompt, "shots": shots, "examples": examples, "schema": schema}
    reader, prompting = prompt_overrides(prompted, reader, index, config, overrides)
    overrides = [*reader_overrides(reader, strict, index, config, overrides), *prompting]
    text = "" if question == "-" else check_query(question)
    with load_pipeline(index, asked_config(config, overrides), overrides) as pipeline:
        if text:
            answered = _answer(pipeline, text, top_k, as_json, explain, options, stream)
        else:
            answered = _answer_lines(pipeline, top_k, as_json, explain, options, stream)
    if answered is None:
        raise typer.Exit(1)
    if not answered:
        raise typer.Exit(NO_ANSWER)


def _options(text: str | None) -> tuple[str, ...]:
    """The options of ``--choices``, in their order.

    Raises:
        UsageError: fewer than two different ones.
    """
    from ragqa.errors import UsageError

    if text is None:
        return ()
    found = tuple(dict.fromkeys(option.strip() for option in text.split("|") if option.strip()))
    if len(found) < 2:
        raise UsageError(f"--choices {text!r}", accepted="two or more different options, separated by |")
    return found


def _answer_lines(
    pipeline: "Pipeline",
    top_k: int | None,
    as_json: bool,
    explain: bool,
    options: tuple[str, ...],
    stream: bool | None,
) -> bool:
    """Answer each line of stdin; a line that is no question is named and does not stop the others."""
    from ragqa.cli.printing import complain, paint, plain
    from ragqa.errors import UsageError
    from ragqa.pipeline import check_query

    answered = asked = 0
    for number, line in enumerate(sys.stdin or (), 1):
        if not line.strip("\ufeff \t\r\n"):
            continue
        asked += 1
        try:
            text = check_query(line)
            if not as_json:
                print(paint(f"? {plain(text)}", "bold"))
            answered += bool(_answer(pipeline, text, top_k, as_json, explain, options, stream))
        except UsageError as fault:  # also a question that is longer than the encoder reads
            complain(f"line {number}: {fault}")
            continue
        if not as_json:
            print()
    if not asked:
        raise UsageError("there is no question on stdin", accepted="one question a line")
    return answered > 0


def _answer(
    pipeline: "Pipeline",
    text: str,
    top_k: int | None,
    as_json: bool,
    explain: bool,
    options: tuple[str, ...],
    stream: bool | None,
) -> bool | None:
    """Answer and print one question; False when the documents do not answer it, None when nothing came of it."""
    from ragqa.cli.printing import json_line, plain
    from ragqa.cli.streaming import Events, Screen
    from ragqa.reports import answer_record, explanation

    pipeline.timings.seconds.clear()
    if as_json:
        events = Events() if stream else None
        answer = pipeline.ask(text, top_k, options, None if events is None else events.hear)
        record = answer_record(text, answer, pipeline)
        if explain:
            record["explain"] = explanation(pipeline, text, answer).as_json()
        if events is None:
            print(json_line(record), flush=True)
        else:
            events.settle(answer, record)
        return _came_of(answer)
    if stream is None:
        stream = sys.stdout.isatty()
    with Screen() as screen:
        answer = pipeline.ask(text, top_k, options, screen.hear if stream else None)
        nearest = answer.hits[0].passage if answer.hits else None
        screen.settle(answer, pipeline.page(nearest.doc_id, nearest.start) if nearest else None)
    if explain:
        print("\n" + plain("\n".join(explanation(pipeline, text, answer).lines())))
    return _came_of(answer)


def _came_of(answer: "Answer") -> bool | None:
    return None if answer.failure else answer.text is not None
