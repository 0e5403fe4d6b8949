"""The file of a conversation: one exchange a line, written as it happens, whole after any crash.

A line is one ``write`` behind the last one, forced to the disk. A process killed in the middle leaves a line without an
end; the next one to open the file cuts it off. A lock admits one writer.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ragqa.conversation.exchange import Exchange
from ragqa.data.lines import record
from ragqa.durable import disk_fault, make_folder, sync_folder
from ragqa.errors import ConversationError, DataError, UsageError

SUFFIX = ".jsonl"
FEEDBACK = "feedback"
"""The verdicts lie beside the conversations under this name, which none of them may have."""
_NAME = re.compile(r"\w[\w .-]{0,79}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What the list of conversations tells of one."""

    name: str
    turns: int
    first: str
    changed: datetime


def check_name(name: str) -> str:
    """The name of a conversation.

    Raises:
        UsageError: it cannot be the name of a file on every system.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", " ")) or name.casefold() == FEEDBACK:
        raise UsageError(
            f"--conversation {name!r}",
            accepted="1 to 80 letters, digits, spaces, dots, hyphens and underlines, a letter or digit first; "
            "not feedback, which is taken",
        )
    return name


def fresh_name(now: datetime) -> str:
    """A name that tells when the conversation began."""
    return now.strftime("%Y-%m-%d %H.%M.%S")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, forced to the disk; a write that fails half-way leaves the file as it was.

    Raises:
        ConversationError: the disk does not take it.
    """
    make_folder(path.parent)
    new = not path.exists()
    data = line.encode("utf-8", "replace") + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, data) != len(data):
                os.ftruncate(descriptor, before)
                raise ConversationError(f"{path} took a part of a line only", next_step="free some space")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)
    except OSError as fault:
        raise _unwritable(path, fault) from fault


def _unwritable(path: Path, fault: OSError) -> ConversationError:
    reason = disk_fault(fault, next(p for p in path.parents if p.exists())) or fault.strerror
    return ConversationError(f"{path} cannot be written: {reason}", next_step="another --folder")


def exchanges(path: Path) -> list[Exchange]:
    """Every exchange of the file, oldest first; a last line without its end is left out.

    Raises:
        DataError: the file cannot be read, or a line is no exchange.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read: {fault}", accepted="a conversation in JSON Lines") from fault
    return [_exchange(path, number, line) for number, line in _whole_lines(text)]


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.strip():
            yield number, line


def _exchange(path: Path, number: int, line: str) -> Exchange:
    try:
        return record(Exchange, line)
    except DataError as fault:
        raise DataError(
            f"{path} line {number}: {fault.found}", accepted="lines as ragqa chat wrote them"
        ) from None


def summaries(folder: Path) -> list[Summary]:
    """The conversations of a folder, the one that went on last first; files that are none are passed over."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        if path.stem == FEEDBACK:
            continue
        try:
            turns = exchanges(path)
            changed = datetime.fromtimestamp(path.stat().st_mtime)
        except (DataError, OSError):
            continue
        if turns:
            found.append(Summary(path.stem, len(turns), turns[0].question, changed))
    return sorted(found, key=lambda summary: summary.changed, reverse=True)


class Journal:
    """The file of one conversation, open for writing; use as a context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open or begin a conversation.

        Raises:
            UsageError: the name cannot be one.
            DataError: there is a file of that name that is no conversation.
            ConversationError: another process holds it, or the folder cannot be written.
        """
        self.name = check_name(name)
        self.path = folder / f"{name}{SUFFIX}"
        try:
            make_folder(folder)
            self._lock = FileLock(folder / f".{name}.lock")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConversationError(
                f"the conversation {name!r} goes on in another process", next_step="another --conversation"
            ) from None
        except OSError as fault:
            raise _unwritable(self.path, fault) from fault
        try:
            self.earlier = tuple(exchanges(self.path)) if self.path.exists() else ()
            self._cut_off()
        except BaseException:
            self.close()
            raise

    def append(self, exchange: Exchange) -> None:
        """Keep an exchange.

        Raises:
            ConversationError: the disk does not take it.
        """
        append_line(self.path, exchange.model_dump_json())

    def close(self) -> None:
        self._lock.release()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_off(self) -> None:
        """Remove what stands behind the last line end: a line that a killed process did not finish."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
