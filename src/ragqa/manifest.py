"""What a generation of an index holds: its fingerprint, its counts and the checksum of every file.

Checksums are taken and compared with several files at once: hashlib releases the interpreter while it hashes.
"""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ragqa.errors import IndexDamaged, IndexMismatch

FORMAT_VERSION = 1
"""Raise it whenever files of an older ragqa can no longer be read."""

MANIFEST = "manifest.json"

_NOT_A_FILE = -1
_HASHING_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Checksum (lower-case hexadecimal) and size of one file."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of ``manifest.json``; ``files`` maps relative POSIX paths to what they must hold."""

    fingerprint: Mapping[str, Any]
    created: str
    files: Mapping[str, FileEntry]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())

    def encode(self) -> bytes:
        """The bytes of ``manifest.json``; equal manifests give equal bytes."""
        files = {name: {"sha256": e.sha256, "bytes": e.bytes} for name, e in sorted(self.files.items())}
        record = {
            "format": FORMAT_VERSION,
            "fingerprint": dict(self.fingerprint),
            "created": self.created,
            "counts": dict(self.counts),
            "files": files,
        }
        return (json.dumps(record, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, raw: bytes, path: Path, rebuild: str) -> "Manifest":
        """Read what ``encode`` wrote; ``rebuild`` is the command that mends the index.

        Raises:
            IndexMismatch: written in another format.
            IndexDamaged: not a manifest, or it names a file outside its folder.
        """
        try:
            record = json.loads(raw)
            version = record["format"]
            if version != FORMAT_VERSION:
                found = f"{path.parent} has format {version}, this ragqa reads {FORMAT_VERSION}"
                raise IndexMismatch(found, next_step=rebuild)
            files = {
                _inner_path(name): FileEntry(str(entry["sha256"]), int(entry["bytes"]))
                for name, entry in record["files"].items()
            }
            counts = {str(name): int(count) for name, count in record["counts"].items()}
            return cls(dict(record["fingerprint"]), str(record["created"]), files, counts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IndexDamaged(f"{path} is not a manifest: {error!r}", next_step=rebuild) from error


def _inner_path(name: str) -> str:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or str(path) != name or set(name) & {"\\", "\0"}
    if unsafe or name in {".", MANIFEST}:
        raise ValueError(f"{name!r} is no path inside the generation")
    return name


def check_fingerprint(manifest: Manifest, expected: Mapping[str, Any], mend: str) -> None:
    """Compare what the index was made with to what the configuration asks for.

    Raises:
        IndexMismatch: names the first setting that differs, both values, and the command ``mend``.
    """
    made, asked = dict(_flat(manifest.fingerprint)), dict(_flat(expected))
    differing = sorted(key for key in made.keys() | asked.keys() if made.get(key) != asked.get(key))
    if differing:
        key = differing[0]
        found = f"the index was made with {key} {made.get(key, 'unset')}, "
        found += f"the configuration asks for {asked.get(key, 'unset')}"
        if len(differing) > 1:
            found += f" (also different: {', '.join(differing[1:])})"
        raise IndexMismatch(found, next_step=mend)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, sort_keys=True, ensure_ascii=False)


def list_files(folder: Path) -> dict[str, int]:
    """Relative POSIX path → size of everything below ``folder``; links and other oddities have size -1."""
    sizes: dict[str, int] = {}
    for root, folders, names in os.walk(folder):
        for name in [*names, *(n for n in folders if Path(root, n).is_symlink())]:
            path = Path(root, name)
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile: as if it had never been listed
                status = path.lstat()
                regular = stat.S_ISREG(status.st_mode)
                sizes[path.relative_to(folder).as_posix()] = status.st_size if regular else _NOT_A_FILE
    return sizes


def digest_files(folder: Path, names: Sequence[str], *, sync: bool = False) -> dict[str, FileEntry | OSError]:
    """Checksum and size of each file, or why it cannot be read; ``sync`` also forces each to the disk."""

    def digest(name: str) -> FileEntry | OSError:
        try:
            with (folder / name).open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
                if sync:
                    os.fsync(file.fileno())
                return FileEntry(checksum, file.tell())
        except OSError as error:
            return error

    if len(names) < 2:
        return {name: digest(name) for name in names}
    with ThreadPoolExecutor(min(_HASHING_THREADS, len(names))) as pool:
        return dict(zip(names, pool.map(digest, names), strict=True))
