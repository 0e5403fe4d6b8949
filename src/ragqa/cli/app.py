"""The commands put together, and what happens to errors: one line on stderr and an exit code."""

import errno
import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ragqa import __version__
from ragqa.cli import ask, chat, doctor, evaluate, finetune, index, info, search, tune
from ragqa.errors import RagqaError

INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit codes after Ctrl-C, and after the program that read the output has gone."""

app = typer.Typer(
    name="ragqa",
    help="Answer questions from a folder of documents: offline, with the exact words cited.",
    epilog="Exit codes: 0 answered or done, 1 error, 2 usage, 3 not in these documents, 4 done but files were skipped, "
    "5 a gate stayed closed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("index")(index.index)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("search")(search.search)
app.command("info")(info.info)
app.command("doctor")(doctor.doctor)
app.add_typer(evaluate.app, name="eval")
app.command("tune")(tune.tune)
app.add_typer(finetune.app, name="finetune")
app.command("pretrain")(finetune.pretrain)


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
    _settle_streams()
    _tell_what_takes_long()
    try:
        try:
            code = app(prog_name="ragqa", standalone_mode=False)
        finally:
            sys.stdout.flush()  # here, where a closed pipe is still caught
        sys.exit(code)
    except SystemExit as ended:
        # Typer turns a closed pipe into exit code 1 before it comes here.
        cause = ended.__context__
        if isinstance(cause, OSError) and cause.errno == errno.EPIPE:
            sys.exit(_lost_output(cause))
        raise
    except RagqaError as fault:
        if os.environ.get("RAGQA_DEBUG"):
            raise
        from ragqa.cli.printing import complain

        complain(f"ragqa: {fault}")  # also what a server said, which may drive a terminal
        sys.exit(fault.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("ragqa: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except typer.TyperException as fault:  # an option or argument that the command line cannot mean
        sys.exit(_explain(fault))
    except OSError as fault:
        sys.exit(_lost_output(fault))


def _settle_streams() -> None:
    """Closed streams swallow what is written, and no character that a stream cannot show ends the program."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (it lives as long as the process)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _tell_what_takes_long() -> None:
    """On a terminal what ragqa logs is shown: downloads, and models that are made ready for this machine once."""
    if sys.stderr.isatty():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s …"))
        log = logging.getLogger("ragqa")
        log.setLevel(logging.INFO)
        log.addHandler(handler)


def _explain(fault: Any) -> int:
    """One line for a usage error; the help for a command without arguments."""
    message = fault.format_message()
    context = getattr(fault, "ctx", None)
    command = context.command_path if context else "ragqa"
    line = f"ragqa: {message.rstrip('.')}; try: {command} --help"
    print(message if "\n" in message else line, file=sys.stderr)
    return int(fault.exit_code)


def _lost_output(fault: OSError) -> int:
    """The exit code where stdout cannot be written.

    Raises:
        OSError: the fault is another one.
    """
    if fault.errno == errno.EPIPE:
        # The reader of our output has gone (`ragqa search … | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    if fault.errno in (errno.ENOSPC, errno.EIO) and fault.filename is None:
        print(f"ragqa: the output cannot be written: {fault.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    raise fault
