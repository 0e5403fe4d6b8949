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
        if exchange.sentence and exchange.sentence != exchange.answer:
            lines += [f"> {_plain(exchange.sentence)}", ""]
        for source in exchange.citations:
            page = f", page {source.page}" if source.page else ""
            lines.append(f"- {_plain(source.document)}{page}, characters {source.start}–{source.end}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """On one line, without control characters, nothing in it read as a mark."""
    folded = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())
    return _SPECIAL.sub(r"\\\1", folded)
