"""A conversation as Markdown, for people who were not there."""

import re
from collections.abc import Sequence

from ragqa.conversation.exchange import Exchange

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")


def as_markdown(name: str, exchanges: Sequence[Exchange]) -> str:
    """A heading for each question, the answer below it, its sentence as a quotation and its sources as a list."""
    lines = [f"# {_plain(name)}", ""]
    for exchange in exchanges:
        lines += [f"## {_plain(exchange.question)}", ""]
        if exchange.standalone != exchange.question:
            lines += [f"*Understood as: {_plain(exchange.standalone)}*", ""]
        if exchange.answer is None:
            lines += ["Not in these documents.", ""]
            continue
        lines += [f"**{_plain(exchange.answer)}** (confidence {exchange.confidence:.2f})", ""]
        lines += _support_lines(exchange)
        if exchange.sentence and exchange.sentence != exchange.answer:
            lines += [f"> {_plain(exchange.sentence)}", ""]
        for number, source in enumerate(exchange.citations, 1):
            page = f", page {source.page}" if source.page else ""
            bullet = f"{number}." if len(exchange.citations) > 1 else "-"
            lines.append(f"{bullet} {_plain(source.document)}{page}, characters {source.start}–{source.end}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _support_lines(exchange: Exchange) -> list[str]:
    """The sentences of an answer with the numbers of their sources, where one source does not bear all of it out."""
    if len(exchange.citations) <= 1 and all(sentence.citations for sentence in exchange.sentences):
        return []
    lines = []
    for sentence in exchange.sentences:
        numbers = ", ".join(str(place + 1) for place in sentence.citations) or "unsupported"
        lines.append(f"- {_plain((exchange.answer or '')[sentence.start : sentence.end])} ({numbers})")
    return [*lines, ""]


def _plain(text: str) -> str:
    """On one line, without control characters, nothing in it read as a mark."""
    folded = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())
    return _SPECIAL.sub(r"\\\1", folded)
