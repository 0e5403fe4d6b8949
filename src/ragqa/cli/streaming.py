"""An answer that appears while it is written: text on a terminal, events in JSON Lines."""

from typing import Any, Literal

from ragqa.cli.printing import answer_lines, json_line, paint, plain
from ragqa.types import Answer

Outcome = Literal["answered", "replaced", "withdrawn", "refused", "failed"]


def outcome(heard: str, answer: Answer) -> Outcome:
    """What became of the text that was heard.

    "answered": it is the answer; "replaced": the answer has another wording; "withdrawn": there is no answer, whatever
    was heard; "refused": there is none, and nothing was heard; "failed": what was written would not do, which says
    nothing of the documents.
    """
    if answer.failure:
        return "failed"
    if answer.text is None:
        return "withdrawn" if heard else "refused"
    return "answered" if heard == answer.text else "replaced"


class Screen:
    """stdout as somebody reads it; a context manager, which ends the line that an error or Ctrl-C breaks off."""

    def __init__(self) -> None:
        self._heard = ""
        self._is_open = False

    def hear(self, piece: str) -> None:
        """The next piece, without what could drive the terminal: each control character is replaced by itself."""
        if piece:
            self._heard += piece
            self._is_open = True
            print(paint(plain(piece), "answer"), end="", flush=True)

    def settle(self, answer: Answer, page: int | None) -> None:
        """The rest of the answer, its sources among it, or in plain words that what was heard does not stand."""
        lines = answer_lines(answer, page)
        self._end_line()
        came = outcome(self._heard, answer)
        if self._heard and came == "answered":
            lines = lines[1:]
        elif self._heard:
            lines.insert(0, paint(f"  ✗ {came}: {_reason(answer)}", "warn"))
        print("\n".join(lines), flush=True)

    def _end_line(self) -> None:
        if self._is_open:
            self._is_open = False
            print(flush=True)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_line()


def _reason(answer: Answer) -> str:
    if answer.text is not None:
        return "not all of the above is borne out by the documents; what is:"
    if answer.confidence > 0:
        return f"its confidence of {answer.confidence:.2f} is below the threshold"
    return "the documents do not bear the above out"


class Events:
    """One JSON object a line: ``text`` for each piece, at last ``answer`` with the whole record."""

    def __init__(self) -> None:
        self._heard = ""

    def hear(self, piece: str) -> None:
        """The next piece."""
        if piece:
            self._heard += piece
            _print({"event": "text", "text": piece})

    def settle(self, answer: Answer, record: dict[str, Any]) -> None:
        """The closing event; ``outcome`` says whether the text so far stands."""
        _print({"event": "answer", "outcome": outcome(self._heard, answer), **record})


def _print(event: dict[str, Any]) -> None:
    print(json_line(event), flush=True)
