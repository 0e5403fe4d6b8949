"""Text while it is written: only what later tokens cannot change is given out, and no refusal as an answer."""

import re
import unicodedata
from collections.abc import Callable, Sequence

from ragqa.prompting import NOT_HERE
from ragqa.protocols import Heard
from ragqa.sampling import before_stop, safe_before_stop
from ragqa.trickle import Trickle

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_INCOMPLETE = "\ufffd"


class Detokenizer:
    """Tokens of a language model, one after the other → text, without white space around it.

    A tokenizer may glue what comes next to the last word (pieces of words, apostrophes, full stops), and some
    characters are several tokens. So the last word is held back until another one begins, but not the letters of
    scripts that set no spaces between words.

    Args:
        decode: token ids → text.
        pieces: token ids → how the vocabulary writes them; tells bytes from other tokens.
        heard: gets a piece for each token, the empty one too; the pieces together are the text.
        stops: the text ends before any of these.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        pieces: Callable[[Sequence[int]], Sequence[str | None]],
        heard: Heard | None = None,
        stops: Sequence[str] = (),
    ) -> None:
        self._decode, self._pieces, self._heard, self._stops = decode, pieces, heard, list(stops)
        self._ids: list[int] = []
        self._given = ""
        self._bytes = 0

    def add(self, token: int) -> None:
        """The next token."""
        self._ids.append(token)
        (piece,) = self._pieces([token])
        # Bytes become characters when all that follow one another are known.
        self._bytes = self._bytes + 1 if piece and _BYTE.fullmatch(piece) else 0
        text = _settled(self._decode(self._ids[: len(self._ids) - self._bytes]))
        self._give(safe_before_stop(text, self._stops).rstrip())

    def end(self) -> str:
        """The whole text; no token follows."""
        self._give(before_stop(self._decode(self._ids), self._stops).strip())
        return self._given

    def _give(self, text: str) -> None:
        piece = text.lstrip()[len(self._given) :]
        self._given += piece
        if self._heard is not None:
            self._heard(piece)


def _settled(text: str) -> str:
    """``text`` as far as nothing that follows can change it."""
    text = text.rstrip(_INCOMPLETE)
    for at in range(len(text) - 1, -1, -1):
        if text[at].isspace():
            return text[:at].rstrip()
        if unicodedata.category(text[at]) == "Lo":
            return text[: at + 1]
    return ""


class Withheld:
    """Passes on what an answer says, as soon as it is none of the phrases that say there is no answer.

    A text that begins with one of them is never passed on, nor what ``Trickle`` drops.
    """

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._held: str | None = ""
        self._trickle = Trickle()

    def hear(self, piece: str) -> None:
        """The next piece of what is written."""
        self._pass(self._trickle.feed(piece))

    def _pass(self, piece: str) -> None:
        if self._held is None:
            self._heard(piece)
            return
        self._held += piece
        said = self._held.casefold()
        undecided = any(phrase.startswith(said) or said.startswith(phrase) for phrase in NOT_HERE.values())
        self._heard("") if undecided else self._release()

    def end(self) -> None:
        """Nothing follows: what might have become a refusal and did not is passed on."""
        if rest := self._trickle.finish():
            self._pass(rest)
        if self._held and not declines(self._held):
            self._release()

    def _release(self) -> None:
        held, self._held = self._held or "", None
        self._heard(held)


def declines(text: str) -> bool:
    """Whether ``text`` says that there is no answer, or nothing."""
    return not text or any(text.casefold().startswith(phrase) for phrase in NOT_HERE.values())
