"""Zip containers (DOCX, PPTX, XLSX, EPUB): refused before anything is unpacked when they cannot be honest."""

import zipfile
from pathlib import Path

from ragqa.errors import DocumentError

MAX_UNPACKED_MB = 512
MAX_RATIO = 300
"""Unpacked / packed size of the whole file; real office files stay below 50."""

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_SMALL = 16 << 20


def check_archive(path: Path, kind: str) -> None:
    """Look at the directory of the zip file only.

    Raises:
        DocumentError: not a zip file, an encrypted one, or one that unpacks to an unreasonable size.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head == _OLE:
        raise DocumentError(
            f"is encrypted or in the binary format before {kind}",
            accepted=f"{kind} without a password",
            next_step=f"open it and save it as {kind} without a password",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DocumentError(
            f"is not a whole {kind} file ({error})", next_step="fetch or save the file again"
        ) from error
    if any(member.flag_bits & 1 for member in members):
        raise DocumentError("is encrypted", next_step="save it without a password")
    unpacked = sum(member.file_size for member in members)
    packed = max(1, path.stat().st_size)
    if unpacked > MAX_UNPACKED_MB << 20 or (unpacked > _SMALL and unpacked > MAX_RATIO * packed):
        raise DocumentError(
            f"would unpack from {packed:,} to {unpacked:,} bytes, as a zip bomb does",
            accepted=f"at most {MAX_UNPACKED_MB} MB and {MAX_RATIO} times the size of the file",
            next_step="save it in smaller parts",
        )
