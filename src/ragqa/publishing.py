"""The writer's side of an index: one writer at a time, and a new generation appears whole or not at all.

    with writer_lock(index, wait_seconds=10):
        with Draft(index, fingerprint) as draft:
            ...                     # write files below draft.folder
            draft.publish(counts)

Until ``publish`` renames CURRENT the former generation answers, whatever happens to the writer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from ragqa.durable import disk_fault, make_folder, readable_size, remove, sync_folder, write_durably
from ragqa.errors import IndexDamaged, IndexError_, IndexLocked, IndexMissing
from ragqa.generations import (
    CURRENT,
    GENERATION_NAME,
    GENERATIONS,
    Pointer,
    lock_manifest,
    open_generation,
    read_current,
)
from ragqa.manifest import MANIFEST, FileEntry, Manifest, digest_files, list_files

_NEW_CURRENT = "CURRENT.new"
_PARTIAL = ".partial-"


@contextlib.contextmanager
def writer_lock(
    index: Path, wait_seconds: float, on_wait: Callable[[str], None] = lambda message: None
) -> Iterator[list[str]]:
    """Be the only writer of ``index``, creating its folder, and clear what an interrupted writer left.

    Yields the names of the leftovers that were removed. ``on_wait`` is told when another writer is at work.

    Raises:
        IndexLocked: another process still writes after ``wait_seconds``.
        IndexError_: the folder cannot be written.
    """
    try:
        make_folder(index / GENERATIONS)
        lock = FileLock(index / ".lock", fallback_to_soft=False)
        _acquire(lock, index, wait_seconds, on_wait)
    except OSError as error:
        found = f"{index} cannot be written: {error.strerror or error}"
        raise IndexError_(found, next_step="choose a folder that you may write, with --index") from error
    writer = index / ".writer"
    try:
        with contextlib.suppress(OSError):  # only the message of a second writer needs it
            writer.write_text(json.dumps({"pid": os.getpid(), "since": _now()}))
        yield repair(index)
    finally:
        remove(writer)
        lock.release()


def _acquire(lock: FileLock, index: Path, wait_seconds: float, on_wait: Callable[[str], None]) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        on_wait(f"{index} is being written by {_holder(index)}; waiting up to {wait_seconds:g} s")
    try:
        lock.acquire(timeout=max(0.0, wait_seconds))
    except Timeout:
        found = f"{index} is being written by {_holder(index)}; waited {wait_seconds:g} s"
        raise IndexLocked(found, next_step="run the command again when that process has ended") from None


def _holder(index: Path) -> str:
    try:
        record = json.loads((index / ".writer").read_text())
        return f"process {int(record['pid'])} since {record['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def repair(index: Path) -> list[str]:
    """Remove what interrupted writers left, and generations that nobody needs; only under ``writer_lock``.

    The current generation stays, the one before it stays, and so does any that a reader has open.
    Returns the names of the leftovers; outdated generations go without a word.
    """
    folder = index / GENERATIONS
    leftovers = [*folder.glob(f"{_PARTIAL}*"), *index.glob(_NEW_CURRENT)]
    complete = sorted(path for path in folder.iterdir() if GENERATION_NAME.fullmatch(path.name))
    try:
        current = read_current(index)
    except IndexMissing:
        leftovers += complete
    except IndexDamaged:
        pass  # whatever is complete may be all that is left of the index
    else:
        leftovers += [path for path in complete if path.name > current.name]
        for path in [path for path in complete if path.name < current.name][:-1]:
            _remove_unless_open(path)
    for path in leftovers:
        remove(path)
    return sorted(path.name for path in leftovers)


def _remove_unless_open(folder: Path) -> None:
    try:
        pin = os.open(folder / MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        remove(folder)
        return
    try:
        if lock_manifest(pin, fcntl.LOCK_EX):
            remove(folder)
    finally:
        os.close(pin)


class Draft:
    """The next generation while it is being written; vanishes unless it is published.

    The caller holds ``writer_lock`` and writes files (folders too, no links) below ``folder``.
    """

    def __init__(self, index: Path, fingerprint: Mapping[str, Any]) -> None:
        self.index = index
        self.folder = index / GENERATIONS / f"{_PARTIAL}{secrets.token_hex(4)}"
        self._fingerprint = fingerprint
        self._named: Path | None = None

    def __enter__(self) -> "Draft":
        try:
            make_folder(self.folder)
        except OSError as error:
            raise self._fault(error) or error from None
        return self

    def publish(self, counts: Mapping[str, int] | None = None) -> Path:
        """Make what ``folder`` holds the current generation, durably; returns the folder's lasting name.

        A disk that is full or broken raises OSError here; leaving the ``with`` turns that, like every such
        fault inside it, into an IndexError_ of one line. The former generation stays current.
        """
        manifest = Manifest(self._fingerprint, _now(), self._sync_files(), counts or {})
        raw = manifest.encode()
        pointer = Pointer.of(self._next_number(), hashlib.sha256(raw).hexdigest())
        write_durably(self.folder / MANIFEST, raw)
        for root, _, _ in os.walk(self.folder, topdown=False):
            sync_folder(Path(root))
        self._named = self.folder.with_name(pointer.name)
        self.folder.rename(self._named)
        sync_folder(self._named.parent)
        write_durably(self.index / _NEW_CURRENT, pointer.encode())
        if (self.index / CURRENT).is_dir():  # damage that no rename can replace
            remove(self.index / CURRENT)
        os.replace(self.index / _NEW_CURRENT, self.index / CURRENT)
        sync_folder(self.index)
        return self._named

    def _sync_files(self) -> dict[str, FileEntry]:
        sizes = list_files(self.folder)
        odd = [name for name, size in sizes.items() if size < 0]
        if odd:
            raise ValueError(f"an index holds regular files only, not {odd}")
        entries: dict[str, FileEntry] = {}
        for name, found in digest_files(self.folder, sorted(sizes), sync=True).items():
            if isinstance(found, OSError):
                raise found
            entries[name] = found
        return entries

    def _next_number(self) -> int:
        matches = [GENERATION_NAME.fullmatch(path.name) for path in self.folder.parent.iterdir()]
        return 1 + max((int(match[1]) for match in matches if match), default=0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fault = self._fault(error)
        with contextlib.suppress(IndexDamaged):  # nobody knows what CURRENT names: nothing more is removed
            self._discard()
        if fault is not None:
            raise fault from error

    def _fault(self, error: BaseException | None) -> IndexError_ | None:
        reason = disk_fault(error, self.index)
        if reason is None:
            return None
        written = sum(max(0, size) for size in list_files(self.folder).values())
        found = f"{self.index} could not be written: {reason}, {readable_size(written)} written"
        with contextlib.suppress(IndexError_), open_generation(self.index) as present:
            found += (
                f"; the present index takes {readable_size(present.manifest.total_bytes)} and still answers"
            )
        return IndexError_(found, next_step="free space on that disk, or choose another with --index")

    def _discard(self) -> None:
        """Remove everything that was not published."""
        remove(self.folder)
        remove(self.index / _NEW_CURRENT)
        # CURRENT decides, not a flag: an interrupt can strike between its rename and the line after it.
        published = None
        with contextlib.suppress(IndexMissing):
            published = read_current(self.index).name
        if self._named is not None and self._named.name != published:
            remove(self._named)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
