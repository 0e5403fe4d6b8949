"""Answers that fit a JSON Schema: what does not fit is written once more, with what is wrong in its prompt."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

from ragqa.drafts import Draft, Writer
from ragqa.prompting import Fault
from ragqa.protocols import Heard
from ragqa.schemas import NotValid, Schema, compact
from ragqa.streaming import declines
from ragqa.types import Passage

_LONGEST = 1000
"""Characters of the first try that the second is shown."""


class Correcting(Protocol):
    """A writer that can be told what was wrong before."""

    def write(
        self,
        questions: Sequence[str],
        passages: Sequence[Sequence[Passage]],
        *,
        faults: Sequence[Fault | None] | None = None,
    ) -> list[Draft]: ...


def fitted(writer: Writer, schema: Schema | None) -> Writer:
    """``writer`` made to fit ``schema``, if there is one; it must be one that follows prompts."""
    return writer if schema is None else StructuredWriter(cast(Correcting, writer), schema)


class StructuredWriter:
    """Writes JSON by way of a writer that follows a prompt.

    A draft's text is the value in compact form, or what the model writes where the passages do not answer. One that
    does not fit at the second try either says why in ``Draft.fault``.
    """

    def __init__(self, writer: Correcting, schema: Schema) -> None:
        self._writer, self._schema = writer, schema

    def write(
        self,
        questions: Sequence[str],
        passages: Sequence[Sequence[Passage]],
        heard: Heard | None = None,
    ) -> list[Draft]:
        """One draft for each question, see ``Writer``; heard as a whole, because a first try may be corrected."""
        drafts = [self._checked(draft) for draft in self._writer.write(questions, passages)]
        rows = [row for row, draft in enumerate(drafts) if draft.fault]
        if rows:
            again = self._writer.write(
                [questions[row] for row in rows],
                [passages[row] for row in rows],
                faults=[Fault(drafts[row].text[:_LONGEST], drafts[row].fault) for row in rows],
            )
            for row, draft in zip(rows, again, strict=True):
                drafts[row] = self._checked(replace(draft, tries=2))
        if heard and not drafts[0].fault:
            heard(drafts[0].text)
        return drafts

    def _checked(self, draft: Draft) -> Draft:
        if declines(draft.text):
            return draft
        try:
            return replace(draft, text=compact(self._schema.parse(draft.text)))
        except NotValid as fault:
            return replace(draft, fault=str(fault))
