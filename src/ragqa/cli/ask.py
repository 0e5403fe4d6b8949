"""``ragqa ask``: one question, or one a line from stdin."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Index,
    Json,
    Overrides,
    TopK,
    asked_config,
    check_top_k,
)

if TYPE_CHECKING:
    from ragqa.pipeline import Pipeline

NO_ANSWER = 3
"""Exit code when the documents do not answer (any) question."""


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads one question a line from stdin.")],
    choices: Annotated[
        str | None, typer.Option("--choices", help="Options to choose from, as in 'a day|a week|a month'.")
    ] = None,
    top_k: TopK = None,
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how each stage came to its result.")
    ] = False,
) -> None:
    """Answer a question from the documents, with the exact words cited."""
    from ragqa.pipeline import check_query, load_pipeline

    check_top_k(top_k)
    options = _options(choices)
    if options and _reader(index, config) != "multiple_choice":
        overrides = ["reader=multiple_choice", *overrides]
    text = "" if question == "-" else check_query(question)
    with load_pipeline(index, asked_config(config, overrides), overrides) as pipeline:
        if text:
            answered = _answer(pipeline, text, top_k, as_json, explain, options)
        else:
            answered = _answer_lines(pipeline, top_k, as_json, explain, options)
    if not answered:
        raise typer.Exit(NO_ANSWER)


def _reader(index: Path, config: Path | None) -> str:
    """The reader that the file names, or the index remembers."""
    from ragqa.config import load_config
    from ragqa.indexing import remembered_config

    return (load_config(config) if config else remembered_config(index)).reader.name


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
    pipeline: "Pipeline", top_k: int | None, as_json: bool, explain: bool, options: tuple[str, ...]
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
            answered += _answer(pipeline, text, top_k, as_json, explain, options)
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
) -> bool:
    """Answer and print one question; False when the documents do not answer it."""
    from ragqa.cli.printing import answer_lines, json_line, plain
    from ragqa.reports import answer_record, explanation

    pipeline.timings.seconds.clear()
    answer = pipeline.ask(text, top_k, options)
    why = explanation(pipeline, text, answer) if explain else None
    if as_json:
        record = answer_record(text, answer, pipeline)
        if why is not None:
            record["explain"] = why.as_json()
        print(json_line(record), flush=True)
        return answer.text is not None
    nearest = answer.hits[0].passage if answer.hits else None
    page = pipeline.page(nearest.doc_id, nearest.start) if nearest else None
    print("\n".join(answer_lines(answer, page)))
    if why is not None:
        print("\n" + plain("\n".join(why.lines())))
    return answer.text is not None
