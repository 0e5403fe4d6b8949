"""Quotes or writes: the generated wording where it agrees with the words that the span reader found, else those.

The extractive reader decides whether there is an answer at all, and how sure that is. The generative one words it, if
all that it wrote is borne out and speaks of the same words.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ragqa import backbone, plugins
from ragqa.drafts import NO_CHINESE, can_word
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
        found = self._extractive.read(queries, hits)
        rows = [
            row for row, query in enumerate(queries) if found[row].text is not None and self._words(query)
        ]
        written = self._generative.read([queries[r] for r in rows], [hits[r] for r in rows]) if rows else []
        by_row = dict(zip(rows, written, strict=True))
        return [self._decided(answer, by_row.get(row)) for row, answer in enumerate(found)]

    @staticmethod
    def _decided(extracted: Answer, written: Answer | None) -> Answer:
        if extracted.text is None:
            return extracted
        return quoted(extracted, NO_CHINESE) if written is None else chosen(extracted, written)

    def _words(self, query: Query) -> bool:
        """Whether the generator can word an answer to ``query``."""
        return can_word(self._options.get("model", backbone.BUILTIN), query.text)


def quoted(extracted: Answer, why: str, **details: Any) -> Answer:
    """The extracted answer, and why it was taken."""
    note = "; ".join(filter(None, (extracted.note, f"took the words found: {why}")))
    return replace(extracted, note=note, details={**extracted.details, "took": "extractive", **details})


def chosen(extracted: Answer, written: Answer) -> Answer:
    """The written answer where it agrees with the extracted one and is borne out, else the extracted one.

    Either way the confidence is the extracted one's, which is calibrated.
    """
    span, text = extracted.text or "", written.unrefused
    details = {
        "generated": text,
        "agreement": f1(text, [span]),
        "support": written.details.get("support", 0.0),
    }
    if not text:
        return quoted(extracted, "the generator wrote nothing", **details)
    if written.text is None or not all(sentence.citations for sentence in written.sentences):
        return quoted(extracted, "no passage bears out what the generator wrote", **details)
    if not agrees(written.text, span, extracted.sentence):
        return quoted(extracted, "the generator wrote something else", **details)
    note = "; ".join(
        filter(None, ("took what the generator wrote: it agrees with the words found", written.note))
    )
    taken = {"took": "generative", "extracted": span, **details}
    return replace(
        written,
        confidence=extracted.confidence,
        note=note,
        details={**extracted.details, **taken},
        candidate=written.text,
    )


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
