"""An index as a sequence of immutable generations, seen by its readers; ``publishing`` writes them.

    indexes/NAME/
    ├── CURRENT                     "<generation> <sha256 of its manifest>": the generation that answers
    ├── generations/
    │   ├── 00000007-1c9e04aa/      immutable once named; the suffix begins the checksum of its manifest
    │   └── .partial-5be01f22/      what a writer is building
    └── .lock  .writer              one writer; who it is

A reader keeps the generation that it opened, whatever is published meanwhile: the open manifest carries a
shared lock, and writers remove only what is not locked.
"""

import fcntl
import hashlib
import os
import re
import shlex
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragqa.errors import IndexDamaged, IndexMissing
from ragqa.manifest import MANIFEST, Manifest, digest_files, list_files

CURRENT = "CURRENT"
GENERATIONS = "generations"
GENERATION_NAME = re.compile(r"([0-9]{8})-[0-9a-f]{8}")
_POINTER = re.compile(r"([0-9]{8}-[0-9a-f]{8}) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class Pointer:
    """The contents of CURRENT: a generation and the checksum of its manifest."""

    name: str
    sha256: str

    @classmethod
    def of(cls, number: int, sha256: str) -> "Pointer":
        return cls(f"{number:08d}-{sha256[:8]}", sha256)

    @property
    def number(self) -> int:
        return int(self.name.partition("-")[0])

    def encode(self) -> bytes:
        return f"{self.name} {self.sha256}\n".encode("ascii")


def read_current(index: Path) -> Pointer:
    """What CURRENT says.

    Raises:
        IndexMissing: there is no CURRENT.
        IndexDamaged: it cannot be read or names no generation.
    """
    path = index / CURRENT
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        next_step = f"ragqa index PATH --index {shlex.quote(str(index))}"
        if index.exists() and not index.is_dir():
            raise IndexMissing(f"{index} is a file, not the folder of an index") from None
        raise IndexMissing(f"there is no index at {index}", next_step=next_step) from None
    except OSError as error:
        raise _damaged(index, f"{path} cannot be read: {error.strerror}") from error
    found = _POINTER.fullmatch(text)
    if found is None or not found[2].startswith(found[1][-8:]):
        raise _damaged(index, f"{path} is damaged: it names no generation")
    return Pointer(found[1], found[2])


def rebuild_command(index: Path, paths: Sequence[Path] = ()) -> str:
    """What the user can type to make the whole index again, from ``paths`` where they are known."""
    sources = shlex.join(map(str, paths)) or "PATH"
    return f"ragqa index --rebuild {sources} --index {shlex.quote(str(index))}"


def _damaged(index: Path, found: str) -> IndexDamaged:
    return IndexDamaged(found, next_step=rebuild_command(index))


class Generation:
    """One published generation, open for reading; no writer removes it while this object lives.

    Take paths from ``verified``, which compares checksums first.
    """

    def __init__(self, index: Path, folder: Path, manifest: Manifest, pin: int) -> None:
        self.index, self.folder, self.manifest = index, folder, manifest
        self._unpin = weakref.finalize(self, os.close, pin)

    @property
    def name(self) -> str:
        return self.folder.name

    def verified(self, name: str) -> Path:
        """The path of a file, or of a folder with all its files, once every checksum is found right.

        Raises:
            IndexDamaged: names each file that is missing or differs.
        """
        names = [n for n in self.manifest.files if n == name or n.startswith(f"{name}/")]
        if not names:
            raise _damaged(self.index, f"{self.folder} holds no {name}")
        self._verify(names)
        return self.folder / name

    def verify_all(self) -> None:
        """Compare every checksum.

        Raises:
            IndexDamaged: names each file that is missing or differs.
        """
        self._verify(self.manifest.files)

    def _verify(self, names: Iterable[str]) -> None:
        entries = self.manifest.files
        # The largest first: no thread is left alone with it at the end.
        largest_first = sorted(names, key=lambda name: -entries[name].bytes)
        faults = []
        for name, found in digest_files(self.folder, largest_first).items():
            if isinstance(found, OSError):
                faults.append(f"{name} cannot be read ({found.strerror})")
            elif found != entries[name]:
                faults.append(f"{name} has another checksum than its manifest says")
        if faults:
            raise _damaged(self.index, f"{self.folder} is damaged: {', '.join(sorted(faults))}")

    def close(self) -> None:
        """Let writers remove this generation once it is out of date. Closing twice does nothing."""
        self._unpin()

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_generation(index: Path) -> Generation:
    """The current generation, with every file present in its right size; checksums follow in ``verified``.

    Raises:
        IndexMissing: nothing was ever published there.
        IndexDamaged: a file is missing, foreign or of another size, or the manifest was altered; names it.
        IndexMismatch: written in another format version.
    """
    while True:
        pointer = read_current(index)
        try:
            return _open(index, pointer)
        except IndexDamaged:
            # Writers may have published twice, and removed this generation, since CURRENT was read.
            if read_current(index) == pointer:
                raise


def _open(index: Path, pointer: Pointer) -> Generation:
    folder = index / GENERATIONS / pointer.name
    path = folder / MANIFEST
    try:
        pin = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _damaged(index, f"{path}, which {CURRENT} names, cannot be read: {error.strerror}") from error
    try:
        if not lock_manifest(pin, fcntl.LOCK_SH):
            raise _damaged(index, f"{folder} is being removed")
        with open(pin, "rb", closefd=False) as file:
            raw = file.read()
        if hashlib.sha256(raw).hexdigest() != pointer.sha256:
            raise _damaged(index, f"{path} is damaged: its checksum is not the one in {CURRENT}")
        manifest = Manifest.decode(raw, path, rebuild_command(index))
        _check_sizes(index, folder, manifest)
    except BaseException:
        os.close(pin)
        raise
    return Generation(index, folder, manifest, pin)


def lock_manifest(pin: int, kind: int) -> bool:
    """Lock an open manifest: LOCK_SH by readers, LOCK_EX for removal; False when the other side holds it.

    On a file system without locks everyone succeeds: there only the previous generation outlives its turn.
    """
    try:
        fcntl.flock(pin, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _check_sizes(index: Path, folder: Path, manifest: Manifest) -> None:
    sizes = list_files(folder)
    sizes.pop(MANIFEST, None)
    for name, entry in manifest.files.items():
        size = sizes.pop(name, None)
        if size is None:
            raise _damaged(index, f"{folder / name} is missing")
        if size != entry.bytes:
            raise _damaged(
                index, f"{folder / name} is damaged: {size} bytes, its manifest says {entry.bytes}"
            )
    # Hidden files are what desktops and network file systems leave behind; no loader opens them.
    foreign = sorted(name for name in sizes if not name.rpartition("/")[2].startswith("."))
    if foreign:
        raise _damaged(index, f"{folder / foreign[0]} does not belong there")
