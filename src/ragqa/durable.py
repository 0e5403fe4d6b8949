"""Writes that survive a power cut, and failing disks as one line for the user."""

import contextlib
import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

PARTIAL, BEFORE = ".partial", ".before"
"""What is added to a name while its file or folder is written, and to that of the folder which it replaced."""

_DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS, errno.EACCES),
    *(errno.EBUSY, errno.ENOTEMPTY),  # a folder that cannot be replaced: a mount point, say
}
_SQLITE_DISK_ERRORS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_FULL_DISK_BYTES = 64 * 1024

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""What libraries in Rust (safetensors) leave of an error number."""


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and force it to the disk; the entry in its folder needs ``sync_folder`` too."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force the entries of a folder (new names, renames) to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create a folder and those above it, each entry forced to the disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a whole folder as far as possible; never raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write a file to, which takes the place of ``path`` when that went well, and is removed else."""
    partial = path.with_name(f"{path.name}{PARTIAL}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        remove(partial)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when that went well, and is removed else.

    What stood there before stays beside it, as ``path.before``; where the exchange fails, nothing has changed.
    """
    partial, before = (path.with_name(f"{path.name}{end}") for end in (PARTIAL, BEFORE))
    remove(partial)
    make_folder(partial)
    try:
        yield partial
        there = os.path.lexists(path)
        if there:
            remove(before)
            os.replace(path, before)
        try:
            os.replace(partial, path)
        except BaseException:
            if there:
                os.replace(before, path)
            raise
        sync_folder(path.parent)
    except BaseException:
        remove(partial)
        raise


def disk_fault(error: BaseException | None, folder: Path) -> str | None:
    """Why ``error`` is the fault of the disk under ``folder``, with the space left; None when it is not."""
    told = _OS_ERROR.search(str(error))
    if not (told or isinstance(error, OSError | sqlite3.Error | RuntimeError)):
        return None
    free = shutil.disk_usage(folder).free
    number = getattr(error, "errno", None) or (int(told[1]) if told else None)
    code = getattr(error, "sqlite_errorcode", None)
    if number is not None or code is not None:
        failed = number in _DISK_ERRORS or (code or 0) & 0xFF in _SQLITE_DISK_ERRORS
    else:
        # Libraries that write by themselves (NumPy, FAISS) lose the error number: judge by the space left.
        failed = free < _FULL_DISK_BYTES
    reason = getattr(error, "strerror", None) or str(error)
    return f"{reason}, {readable_size(free)} free" if failed else None


def readable_size(count: int) -> str:
    """``count`` bytes for a message."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"
