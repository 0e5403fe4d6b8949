"""Where the lines of ``ragqa chat`` come from: a line editor on a terminal, plain lines from a pipe."""

import os
import sys
from pathlib import Path
from typing import Protocol

HISTORY = ".lines"
"""File, beside the conversations, of the lines typed: the arrow keys find them in the next conversation, too."""


class Lines(Protocol):
    """One line after the other."""

    shown: bool
    """Whether the line stands on the screen already when it is read."""

    def read(self) -> str | None:
        """The next line without its end; None where there are no more."""
        ...


def on_terminal() -> bool:
    """Whether somebody types and sees what is printed, on a terminal that can move its cursor."""
    streams = (sys.stdin, sys.stdout)
    return all(s is not None and s.isatty() for s in streams) and os.environ.get("TERM") != "dumb"


def chat_lines(folder: Path) -> Lines:
    """The line editor where somebody types, else the lines of stdin."""
    return EditedLines(folder) if on_terminal() else PlainLines()


class PlainLines:
    """stdin as it is."""

    shown = False

    def read(self) -> str | None:
        line = sys.stdin.readline() if sys.stdin else ""
        return line.rstrip("\r\n") if line else None


class EditedLines:
    """prompt_toolkit: editing, history, completion of commands, suggestions from what was typed before."""

    shown = True

    def __init__(self, folder: Path) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory

        from ragqa.cli.chat_commands import COMMANDS

        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(folder / HISTORY)),
            auto_suggest=AutoSuggestFromHistory(),
            completer=WordCompleter(list(COMMANDS), sentence=True, meta_dict=COMMANDS),
            complete_while_typing=True,
        )

    def read(self) -> str | None:
        while True:
            try:
                return self._session.prompt("» ")
            except KeyboardInterrupt:  # Ctrl-C at the prompt drops the line, not the conversation
                continue
            except EOFError:
                return None
