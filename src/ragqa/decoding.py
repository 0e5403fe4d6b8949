"""Bytes of a text file to characters: UTF-8, UTF-16 and UTF-32 by their mark, GB18030 if plainly so."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragqa.errors import DocumentError

ACCEPTED = "UTF-8, UTF-16 with a byte order mark, GB18030"

_BLOCK = 1 << 20
# UTF-32's mark begins with UTF-16's, so it is asked first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PROBE = 8192

_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls say nothing to a reader; lone surrogates cannot be encoded, so nothing downstream could store them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` with newlines as ``\\n``, no control characters, and U+FFFD for lone surrogates."""
    if _UNCLEAN.search(text) is None:
        return text
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", _NEWLINE.sub("\n", text)))


def encoding_of(path: Path) -> str:
    """The codec that decodes the whole file, found by reading it once in blocks.

    Raises:
        DocumentError: binary content, or bytes that no accepted encoding explains (with their position).
    """
    with path.open("rb") as file:
        head = file.read(_PROBE)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is None and (b"\0" in head or head.startswith(b"%PDF-")):
        raise DocumentError(
            "holds binary data, not text",
            accepted=ACCEPTED,
            next_step="give the file the suffix of its real format",
        )
    if marked is not None:
        _require(path, marked)
        return marked
    try:
        _require(path, "utf-8")
    except DocumentError:
        if _is_gb18030(path):
            return "gb18030"
        raise
    return "utf-8"


def _require(path: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            # What the decoder holds back from the block before counts in the position of an error.
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise DocumentError(
                    f"is not valid {encoding.upper()}: byte {done - held + error.start} cannot be decoded",
                    accepted=ACCEPTED,
                    next_step="save the file as UTF-8",
                ) from error
            if not block:
                return
            done += len(block)


def _is_gb18030(path: Path) -> bool:
    """True when the whole file decodes and most of what is not ASCII are the everyday Chinese characters.

    Nearly any bytes decode as GB18030, so decoding alone proves nothing. The 3,755 characters of GB 2312's
    first level (lead bytes B0 to D7) make up almost all of real Chinese text and little of misread Latin-1
    or Shift JIS.
    """
    try:
        _require(path, "gb18030")
    except DocumentError:
        return False
    with path.open("rb") as file:
        return looks_chinese(file.read(_BLOCK))


def looks_chinese(data: bytes) -> bool:
    """True when most characters beyond ASCII that GB18030 reads in ``data`` are everyday Chinese.

    Korean in EUC-KR reads as such, too, but its syllables end at lead byte C8, before half of what Chinese is
    written with; a few characters prove nothing either way and are taken for Chinese.
    """
    foreign = [c for c in data.decode("gb18030", "ignore") if c > "\x7f"]
    if not sum(map(_is_everyday, foreign)) >= 0.8 * len(foreign) > 0:
        return False
    leads = [code[0] for c in foreign if len(code := c.encode("gb2312", "ignore")) == 2 and code[0] >= 0xB0]
    late = sum(lead > 0xC8 for lead in leads)
    return len(leads) < 20 or late >= 0.15 * len(leads)


def _is_everyday(character: str) -> bool:
    code = character.encode("gb2312", "ignore")
    return len(code) == 2 and (0xB0 <= code[0] <= 0xD7 or code[0] in (0xA1, 0xA3))


def read_text(path: Path) -> str:
    """The whole file as clean text.

    Raises:
        DocumentError: as ``encoding_of``.
    """
    # Block by block: bytes, characters and cleaned characters of a large file never stand in memory together.
    with path.open(encoding=encoding_of(path)) as file:
        return "".join(clean(block) for block in iter(lambda: file.read(_BLOCK), ""))


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOBase]:
    """The file as a stream of characters, newlines untouched, for files larger than memory should hold.

    Raises:
        DocumentError: as ``encoding_of``.
    """
    with path.open(encoding=encoding_of(path), newline="") as file:
        yield file
