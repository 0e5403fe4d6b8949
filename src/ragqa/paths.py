"""File names as text: any name a file system allows, in characters that print and store anywhere."""

from pathlib import PurePath


def readable(path: PurePath) -> str:
    """``path`` in POSIX form; undecodable bytes and control characters (a newline) become escapes.

    >>> readable(PurePath("two\\nlines.txt"))
    'two\\\\nlines.txt'
    """
    text = path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    # Only what cannot be printed is escaped, so that ideographic and other wide spaces stay as they are.
    return "".join(c if c.isprintable() or (c.isspace() and c > "\u00a0") else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
