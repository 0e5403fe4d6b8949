"""The commands put together, and what happens to errors: one line on stderr and an exit code."""

import os
import sys
from typing import Annotated

import typer

from ragqa import __version__
from ragqa.cli import ask, doctor, finetune, index, info, search
from ragqa.errors import RagqaError

app = typer.Typer(
    name="ragqa",
    help="Answer questions from a folder of documents: offline, with the exact words cited.",
    epilog="Exit codes: 0 answered or done, 1 error, 2 usage, 3 not in these documents, 4 done but files were skipped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("index")(index.index)
app.command("ask")(ask.ask)
app.command("search")(search.search)
app.command("info")(info.info)
app.command("doctor")(doctor.doctor)
app.add_typer(finetune.app, name="finetune")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ragqa {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Answer questions from a folder of documents: offline, with the exact words cited."""
    if debug:
        os.environ["RAGQA_DEBUG"] = "1"


def main() -> None:
    """Run the command line; a ``RagqaError`` becomes one line on stderr and its exit code."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a closed pipe is still caught
    except RagqaError as fault:
        if os.environ.get("RAGQA_DEBUG"):
            raise
        print(f"ragqa: {fault}", file=sys.stderr)
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        print("ragqa: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`ragqa search … | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
