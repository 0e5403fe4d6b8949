"""Folders to the files that can be read, each with a name that stays the same from run to run."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragqa.errors import UsageError
from ragqa.loaders import supported_suffixes
from ragqa.paths import readable

_UNSUPPORTED, _NOT_FOLLOWED = "unsupported format", "symbolic link not followed"
_INDEX = "an index of ragqa"
_EXPECTED = (_UNSUPPORTED, _NOT_FOLLOWED, _INDEX)


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read; ``doc_id`` is printable, unique within a discovery, and in POSIX form."""

    path: Path
    doc_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is left out, and why.

    ``expected`` is True where nothing is wrong: a format that is not read, or a link that is not followed;
    ``in_part`` where the rest of the file was read.
    """

    path: Path
    reason: str
    expected: bool = False
    in_part: bool = False


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a walk over all roots found, each list sorted."""

    files: list[Found]
    skipped: list[Skipped]


def discover(paths: Sequence[Path]) -> Discovery:
    """Walk files and folders. Hidden names are ignored; links that leave their root or loop are skipped.

    A file in a folder is named ``folder/relative/path``, a single file by its name; roots of equal names are
    told apart by their parents' names.

    Raises:
        UsageError: no path, or one that does not exist.
    """
    if not paths:
        raise UsageError(
            "no path to index", accepted="files and folders", next_step="name a folder of documents"
        )
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(
                f"{readable(path)} does not exist",
                accepted="files and folders",
                next_step=_near(path),
            )
    roots = list(dict.fromkeys(Path(os.path.realpath(path)) for path in paths))
    suffixes = frozenset(supported_suffixes())
    files: dict[Path, str] = {}
    skipped: list[Skipped] = []
    for root, name in zip(roots, _names(roots), strict=True):
        for path, reason in _walk(root, suffixes):
            if reason:
                # What was named itself was meant to be read.
                skipped.append(Skipped(path, reason, reason.startswith(_EXPECTED) and path != root))
            else:
                relative = path.relative_to(root)
                # Of overlapping roots the first names the file.
                files.setdefault(path, f"{name}/{readable(relative)}" if relative.parts else name)
    found = sorted((Found(path, doc_id) for path, doc_id in files.items()), key=lambda f: (f.doc_id, f.path))
    return Discovery(_distinct(found), sorted(set(skipped), key=lambda s: (s.path, s.reason)))


def _near(path: Path) -> str:
    folder = path.parent
    return (
        f"a path below {readable(folder)}"
        if folder.is_dir()
        else f"the spelling of {readable(folder)}, which does not exist either"
    )


def _names(roots: Sequence[Path]) -> list[str]:
    """The last names of each root, as many as make all different."""
    depth = 1
    while True:
        names = [readable(Path(*_tail(root, depth))) for root in roots]
        if len(set(names)) == len(names) or depth > max(len(root.parts) for root in roots):
            return names
        depth += 1


def _tail(root: Path, depth: int) -> tuple[str, ...]:
    return root.parts[1:][-depth:] or (root.anchor.strip("/") or "root",)


def _distinct(found: Sequence[Found]) -> list[Found]:
    """Numbers the few whose names became equal when unprintable characters were written as escapes."""
    used: dict[str, int] = {}
    distinct: list[Found] = []
    for file in found:
        times = used.get(file.doc_id, 0)
        used[file.doc_id] = times + 1
        distinct.append(Found(file.path, f"{file.doc_id}~{times + 1}") if times else file)
    return distinct


def _walk(root: Path, suffixes: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Every visible file below ``root`` with the reason to skip it, or ""."""
    if not root.is_dir():
        yield root, _refusal(root, root, suffixes)
        return
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield folder, f"folder cannot be opened: {error.strerror}"
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if _is_index(path):
                    yield path, _INDEX
                else:
                    waiting.append(path)
            else:
                yield path, _refusal(path, root, suffixes)


def _is_index(folder: Path) -> bool:
    """Whether ``ragqa index`` writes here: its files would become documents of themselves."""
    try:
        return (folder / "generations").is_dir() and any(
            (folder / name).is_file() for name in ("CURRENT", ".lock")
        )
    except OSError:  # it may not be entered; the walk will say so
        return False


def _refusal(path: Path, root: Path, suffixes: frozenset[str]) -> str:
    """Why a file is not read, or ""."""
    if path.is_symlink() and (reason := _link_refusal(path, root)):
        return reason
    if path.suffix.lower() not in suffixes:
        return f"{_UNSUPPORTED} {readable(Path(path.suffix)) if path.suffix else '(no suffix)'}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return "" if os.access(path, os.R_OK) else "permission denied"


def _link_refusal(path: Path, root: Path) -> str:
    """Why a link is not followed, or "": a link to a hidden file inside the root is the only way to it."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "symbolic link that leads nowhere or in a circle"
    if not target.is_relative_to(root):
        return f"{_NOT_FOLLOWED}: it leads out of the folder"
    if target.is_dir():
        return f"{_NOT_FOLLOWED}: it leads to a folder"
    hidden = any(part.startswith(".") for part in target.relative_to(root).parts)
    return "" if hidden else f"{_NOT_FOLLOWED}: it leads to another file of the folder"
