"""``ragqa chat``: questions that follow one another, with a history that is kept."""

import json
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Index,
    Overrides,
    Reader,
    Strict,
    TopK,
    asked_config,
    check_top_k,
    reader_overrides,
)

DEFAULT_FOLDER = Path("conversations")

Name = Annotated[
    str | None,
    typer.Option(
        "--conversation",
        metavar="NAME",
        help="Begin the conversation of this name, or go on with it (default: named after the time; "
        "not kept where stdin is no terminal).",
    ),
]


def chat(
    conversation: Name = None,
    listing: Annotated[bool, typer.Option("--list", help="List the conversations that are kept.")] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the conversation as Markdown; - for stdout."),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            "--examples",
            metavar="FILE",
            help="Write the answers judged /good as questions for ragqa finetune.",
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="FOLDER", help="Where conversations are kept.")
    ] = DEFAULT_FOLDER,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show with each answer how it came about.")
    ] = False,
    reader: Reader = None,
    strict: Strict = False,
    top_k: TopK = None,
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Ask questions that follow one another; /help lists what else can be typed."""
    if listing:
        _list(folder)
    elif export is not None:
        _export(folder, conversation, export)
    elif examples is not None:
        _write_examples(folder, examples)
    else:
        check_top_k(top_k)
        overrides = reader_overrides(reader, strict, index, config, overrides)
        _talk(conversation, folder, explain, top_k, index, config, overrides)


def _talk(
    name: str | None,
    folder: Path,
    explain: bool,
    top_k: int | None,
    index: Path,
    config: Path | None,
    overrides: list[str],
) -> None:
    from ragqa.cli.chat_commands import Chat
    from ragqa.cli.chat_lines import chat_lines, on_terminal
    from ragqa.conversation.journal import Journal, fresh_name
    from ragqa.conversation.session import Session
    from ragqa.pipeline import Pipeline, load_pipeline

    if name is None and on_terminal():
        name = fresh_name(datetime.now())
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, name)) if name else None

        def opened(place: Path) -> Pipeline:
            return stack.enter_context(load_pipeline(place, asked_config(config, overrides), overrides))

        session = stack.enter_context(Session(opened(index), journal, top_k))
        Chat(session, folder, index, opened, explain=explain).run(chat_lines(folder))


def _list(folder: Path) -> None:
    from ragqa.cli.printing import complain, plain
    from ragqa.conversation.journal import summaries

    found = summaries(folder)
    for one in found:
        turns = f"{one.turns} question{'s' if one.turns > 1 else ''}"
        print(plain(f"{one.name}  {one.changed:%Y-%m-%d %H:%M}  {turns}  {one.first[:60]}", ""))
    if not found:
        complain(f"no conversation is kept in {folder}")


def _export(folder: Path, name: str | None, target: Path) -> None:
    from ragqa.conversation.journal import SUFFIX, check_name, exchanges, summaries
    from ragqa.conversation.markdown import as_markdown
    from ragqa.errors import UsageError

    kept = [one.name for one in summaries(folder)]
    if name is None and not kept:
        raise UsageError(f"no conversation is kept in {folder}", next_step="ragqa chat")
    chosen = check_name(name) if name else kept[0]
    if chosen not in kept:
        raise UsageError(
            f"there is no conversation {chosen!r} in {folder}",
            accepted=", ".join(kept[:10]) or "none is kept",
        )
    _write(target, as_markdown(chosen, exchanges(folder / f"{chosen}{SUFFIX}")))


def _write_examples(folder: Path, target: Path) -> None:
    from ragqa.cli.printing import complain
    from ragqa.conversation.feedback import labelled

    found = list(labelled(folder))
    _write(target, "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in found))
    complain(f"{len(found)} labelled question{'' if len(found) == 1 else 's'}")


def _write(target: Path, text: str) -> None:
    """Write a file, or stdout for ``-``.

    Raises:
        ConversationError: it cannot be written.
    """
    from ragqa.errors import ConversationError

    if str(target) == "-":
        sys.stdout.write(text)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ConversationError(f"{target} cannot be written: {fault.strerror}") from fault
