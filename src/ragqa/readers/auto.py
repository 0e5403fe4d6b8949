"""Quotes or writes: the generated wording where it agrees with the words that the span reader found, else those.

The extractive reader decides whether there is an answer at all, and how sure that is. The generative one words it, if
all that it wrote is borne out and speaks of the same words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ragqa import backbone, plugins
from ragqa.analysis import is_han
from ragqa.evaluation.answers import answer_tokens, f1
from ragqa.protocols import Reader
from ragqa.types import Answer, Hit, Query

LEAST_AGREEMENT = 0.5
"""Token F1 with the span from which on two answers say the same, and the share of a longer one that the sentence around
the span must hold."""


class AutoReader:
    """Asks the extractive reader, then the generative one where that found an answer.

    Args:
        extractive, generative: the options of both.
        strict: of the generative one.
    """

    def __init__(
        self,
        *,
        extractive: dict[str, Any] | None = None,
        generative: dict[str, Any] | None = None,
        strict: bool = False,
    ) -> None:
        self._options = {"strict": strict, **(generative or {}), "name": "generative"}
        plugins.check_options("readers", self._options)
        self._extractive: Reader = plugins.build("readers", {**(extractive or {}), "name": "extractive"})

    @cached_property
    def _generative(self) -> Reader:
        """Loaded at the first answer that it may word."""
        reader: Reader = plugins.build("readers", self._options)
        return reader

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query; the extractive reader's refusals stand."""
        answers = self._extractive.read(queries, hits)
        rows = [row for row, answer in enumerate(answers) if self._may_be_worded(queries[row], answer)]
        written = self._generative.read([queries[r] for r in rows], [hits[r] for r in rows]) if rows else []
        for row, answer in zip(rows, written, strict=True):
            answers[row] = chosen(answers[row], answer)
        return answers

    def _may_be_worded(self, query: Query, answer: Answer) -> bool:
        """The shipped generator writes English only."""
        is_shipped = self._options.get("model", backbone.BUILTIN) == backbone.BUILTIN
        return answer.text is not None and not (is_shipped and is_han(query.text))


def chosen(extracted: Answer, written: Answer) -> Answer:
    """The written answer where it agrees with the extracted one and is borne out, else the extracted one.

    Either way the confidence is the extracted one's, which is calibrated.
    """
    text, candidate = written.text, str(written.details.get("candidate", ""))
    agreement = f1(candidate, [extracted.text or ""])
    is_borne_out = text is not None and all(sentence.citations for sentence in written.sentences)
    takes = is_borne_out and agrees(text or "", extracted.text or "", extracted.sentence)
    details: Mapping[str, Any] = {
        **extracted.details,
        "took": "generative" if takes else "extractive",
        "generated": candidate,
        "agreement": agreement,
        "support": written.details.get("support", 0.0),
    }
    if takes:
        note = "; ".join(
            filter(None, ("took what the generator wrote: it agrees with the words found", written.note))
        )
        details = {**details, "candidate": candidate, "extracted": extracted.text}
        return replace(written, confidence=extracted.confidence, note=note, details=details)
    why = "nothing" if not candidate else "something else" if is_borne_out else "what no passage bears out"
    said = f"took the words found: the generator wrote {why}"
    return replace(extracted, note="; ".join(filter(None, (extracted.note, said))), details=details)


def agrees(written: str, span: str, sentence: str) -> bool:
    """Whether a written answer says what a span does: most words in common, or one within the other.

    A written sentence may say more than the span, if at least half of it stands in the sentence around that.
    """
    mine, theirs, around = (Counter(answer_tokens(text)) for text in (written, span, sentence))
    if not mine or not theirs:
        return False
    if f1(written, [span]) >= LEAST_AGREEMENT or mine <= theirs:
        return True
    return theirs <= mine and (mine & around).total() >= LEAST_AGREEMENT * mine.total()
