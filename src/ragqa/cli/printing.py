"""How answers and hits look in a terminal; colours only where the terminal shows them."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ragqa.sentences import cited_sentence
from ragqa.types import Answer, Citation, Hit, passage_of

_OPEN, _CLOSE = "\x02", "\x03"
_DRIVING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_STYLES = {"bold": "1", "dim": "2", "answer": "1;32", "mark": "1;4", "warn": "33"}

UNSUPPORTED = "[unsupported]"
"""What stands behind a sentence that nothing bears out."""


def coloured(stream: TextIO) -> bool:
    """True when ``stream`` is a terminal and NO_COLOR (no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """``text`` in a style, where ``stream`` (default stdout) shows it."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if coloured(stream or sys.stdout) else text


def plain(text: str, keep: str = "\n\t") -> str:
    """Text of a document without control characters, which could drive the terminal."""
    return "".join(c if c.isprintable() or c in keep else "\ufffd" for c in text)


def json_line(record: Mapping[str, Any]) -> str:
    """One line of JSON, in which what could drive a terminal is escaped; JSON itself escapes only some of it."""
    text = json.dumps(record, ensure_ascii=False)
    return _DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def width() -> int:
    """Columns to fill: the terminal's, at most 100."""
    import shutil

    return min(100, shutil.get_terminal_size().columns)


def wrapped(text: str, indent: str = "  ", keep: str = "") -> str:
    """``text`` on lines of the terminal's width, indented; white space folded."""
    folded = " ".join(plain(text, f"\n\t{keep}").split())
    lines = textwrap.wrap(folded, width(), initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def place(doc_id: str, title: str, page: int | None) -> str:
    """Where a passage stands: document › headings · page."""
    parts = [doc_id, *([title] if title else [])]
    return plain(" › ".join(parts)) + (f" · page {page}" if page else "")


def marked(sentence: str, quote: str, indent: str = "  ") -> str:
    """``sentence`` wrapped and indented, the quoted words marked by style or by brackets."""
    sentence, quote = (" ".join(plain(text).split()) for text in (sentence, quote))
    if not coloured(sys.stdout):
        return wrapped(sentence if sentence == quote else sentence.replace(quote, f"[{quote}]", 1), indent)
    if quote in ("", sentence):
        return wrapped(sentence, indent)
    before, words, after = sentence.partition(quote)
    # The style comes after the wrapping, which would count its codes as letters; it ends with each line.
    lines = wrapped(f"{before}{_OPEN}{words}{_CLOSE}{after}", indent, keep=_OPEN + _CLOSE).split("\n")
    begun = False
    for place, line in enumerate(lines):
        styled = line.replace(indent, indent + _OPEN, 1) if begun else line
        begun = (begun or _OPEN in line) and _CLOSE not in line
        lines[place] = styled + (_CLOSE if begun else "")
    return "\n".join(lines).replace(_OPEN, f"\x1b[{_STYLES['mark']}m").replace(_CLOSE, "\x1b[0m")


def answer_lines(answer: Answer, page_of_hit: int | None) -> list[str]:
    """The lines of one answer, or of its absence with the nearest passage."""
    if answer.failure:
        return [paint(f"No answer: {plain(answer.failure)}", "warn")]
    if answer.text is None:
        return _refusal_lines(answer, page_of_hit)
    return [*_text_lines(answer), *evidence_lines(answer)]


def evidence_lines(answer: Answer) -> list[str]:
    """What stands below the text of an answer: its sources, the confidence and the note."""
    lines = []
    if _is_plain(answer) and answer.citations:
        lines += _source_lines(answer, answer.citations[0])
    elif answer.citations:
        lines += ["", *_numbered_lines(answer), ""]
    lines.append(paint(f"  confidence {answer.confidence:.2f}", "dim"))
    if answer.note:
        lines.append(paint(wrapped(f"note: {answer.note}"), "dim"))
    return lines


def _is_plain(answer: Answer) -> bool:
    """Whether one source bears all of an answer out: then nothing needs a number."""
    return len(answer.citations) <= 1 and all(s.citations for s in answer.sentences)


def _text_lines(answer: Answer) -> list[str]:
    """The text of an answer; where numbers are needed a line for each sentence, with those of its sources."""
    text = answer.text or ""
    if _is_plain(answer) or not answer.sentences:
        return [paint(plain(text), "answer")]
    lines = []
    for sentence in answer.sentences:
        numbers = "".join(f"[{answer.citations.index(c) + 1}]" for c in sentence.citations)
        styles = ("answer", "dim") if numbers else ("warn", "warn")
        lines += _sentence_lines(text[sentence.start : sentence.end], numbers or UNSUPPORTED, *styles)
    return lines


def _sentence_lines(sentence: str, mark: str, style: str, mark_style: str) -> list[str]:
    """A sentence wrapped, and a mark behind it."""
    *lines, last = wrapped(f"{sentence} {mark}", "").split("\n")
    end = last.removesuffix(mark)
    return [
        *(paint(line, style) for line in lines),
        (paint(end, style) if end else "") + paint(mark, mark_style),
    ]


def _numbered_lines(answer: Answer) -> list[str]:
    """The sentence around each citation behind its number, and where it stands."""
    lines = []
    for number, citation in enumerate(answer.citations, 1):
        mark = f"  [{number}] "
        sentence = marked(cited_sentence(citation, answer.hits), citation.quote, " " * len(mark))
        lines += [mark + sentence.lstrip(" "), paint(" " * len(mark) + _place_of(answer, citation), "dim")]
    return lines


def _place_of(answer: Answer, citation: Citation) -> str:
    passage = passage_of(citation, answer.hits)
    return place(citation.doc_id, passage.title if passage else "", citation.page)


def _source_lines(answer: Answer, citation: Citation) -> list[str]:
    """The sentence around a citation, and where it stands."""
    said = [] if answer.sentence == answer.text else ["", marked(answer.sentence, citation.quote)]
    return [*said, "", paint(f"  {_place_of(answer, citation)}", "dim")]


def _refusal_lines(answer: Answer, page: int | None) -> list[str]:
    lines = [paint("Not in these documents.", "warn")]
    if answer.hits:
        passage = answer.hits[0].passage
        lines += [
            "",
            "  The nearest passage:",
            paint(f"  {place(passage.doc_id, passage.title, page)}", "dim"),
        ]
        lines.append(wrapped(textwrap.shorten(" ".join(passage.text.split()), 300, placeholder=" …")))
    return lines


def hit_lines(hits: Sequence[Hit], pages: Sequence[int | None]) -> list[str]:
    """One block for each hit: rank, score, place, the scores of the legs and the text."""
    lines = []
    for rank, (hit, page) in enumerate(zip(hits, pages, strict=True), 1):
        legs = "  ".join(f"{name} {score:.3f}" for name, score in hit.legs.items())
        head = f"{rank:2d}. {hit.score:.3f}  {place(hit.passage.doc_id, hit.passage.title, page)}"
        lines += [paint(head, "bold"), paint(f"    {legs}", "dim")]
        lines += [
            wrapped(textwrap.shorten(" ".join(hit.passage.text.split()), 400, placeholder=" …"), "    "),
            "",
        ]
    return lines


def show_progress(done: int, of: int, stage: str = "") -> None:
    """How many questions are done, on one line of stderr; nothing where that is no terminal."""
    if sys.stderr.isatty():
        end = "\n" if done == of else ""
        before = f"{stage}: " if stage else ""
        print(f"\r{before}{done:,} of {of:,} questions", end=end, file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """One line on stderr."""
    print(plain(text), file=sys.stderr)
