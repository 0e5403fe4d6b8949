"""Text as a model writes it, piece by piece → the text that is kept; the same whatever the pieces are.

White space around it goes, so does what a reasoning model thinks aloud before it answers, and a text that has begun to
repeat itself endlessly ends there.
"""

_OPENED, _CLOSED = "<think>", "</think>"
_SEEN = 24
_LONGEST_PERIOD = 200
_LEAST_TIMES, _LEAST_LENGTH = 4, 48


class Trickle:
    """Keeps of each piece what may be passed on at once.

    Attributes:
        text: what was passed on so far.
        is_endless: the text repeats itself; nothing more is passed on.
    """

    def __init__(self) -> None:
        self.text = ""
        self.is_endless = False
        self._waiting = ""

    def feed(self, piece: str) -> str:
        """What may be passed on after one more piece."""
        self._waiting += piece
        if not self.text and not self._has_begun():
            return ""
        ready = self._waiting.rstrip()
        self._waiting = self._waiting[len(ready) :]
        return self._passed(ready)

    def finish(self) -> str:
        """What is left when no piece comes any more."""
        if not self.text and self._waiting.startswith(_OPENED):
            return ""
        return self._passed(self._waiting.rstrip())

    def _has_begun(self) -> bool:
        """Whether the answer itself stands in what waits; thoughts before it are dropped."""
        self._waiting = self._waiting.lstrip()
        while self._waiting.startswith(_OPENED):
            _, closed, after = self._waiting.partition(_CLOSED)
            if not closed:
                return False
            self._waiting = after.lstrip()
        return not _OPENED.startswith(self._waiting)  # an empty text is a beginning of it, too

    def _passed(self, ready: str) -> str:
        before = len(self.text)
        for letter in ready:
            if self.is_endless:
                break
            self.text += letter
            # Not after white space, so that the text is the same when it goes through once more.
            self.is_endless = not letter.isspace() and repeats(self.text)
        return self.text[before:]


def repeats(text: str) -> bool:
    """Whether ``text`` ends with the same words four times over, and 48 characters of them at least."""
    size = len(text)
    at = text.rfind(text[-_SEEN:], max(0, size - _SEEN - _LONGEST_PERIOD), size - 1)
    if size < _LEAST_LENGTH or at < 0:
        return False
    period = size - _SEEN - at
    length = max(_LEAST_LENGTH, _LEAST_TIMES * period)
    return size >= length and text[-length:-period] == text[period - length :]


def trickled(text: str) -> tuple[str, bool]:
    """A whole text as it is kept, and whether it was cut because it repeats itself."""
    whole = Trickle()
    whole.feed(text)
    whole.finish()
    return whole.text, whole.is_endless
