"""Writes the answer, and cites the words of the passages that bear it out.

A language model of transformers goes on from a prompt with the question and as many hits as find room; ours, an
encoder–decoder with a pointer, reads each hit apart (``ragqa.writing``). Each sentence of what is written carries the
words of the hits that bear it out (``ragqa.support``); where they bear out none, there is no answer. Its confidence is
the mean probability of the tokens that were written, which nothing has calibrated; of a server that tells no
probabilities, how well its sentences are borne out. Where the shipped model does not know the language of a question,
the extractive reader answers it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ragqa import backbone, plugins
from ragqa.drafts import NO_CHINESE, Draft, Writer, can_word
from ragqa.errors import ConfigError
from ragqa.protocols import Heard, Reader
from ragqa.recipe import AUTO, Recipe
from ragqa.schemas import leaves
from ragqa.sentences import cited_sentence, sentences
from ragqa.streaming import Withheld, declines
from ragqa.structured import fitted
from ragqa.support import cited, kept, support
from ragqa.trickle import trickled
from ragqa.types import CLOSED_BOOK_NOTE, Answer, Hit, Query, Supported
from ragqa.writers import writer_of


class GenerativeReader:
    """Reads with a sequence-to-sequence or causal language model, or with an encoder–decoder of ours.

    Args:
        model: "builtin", a Hugging Face folder, or one that ``ragqa finetune generator`` wrote.
        precision, device: see ``ragqa.devices``; what writes runs in f32 or bf16.
        prompt: of a language model: the template, by name or as a Jinja file; auto: few_shot with examples, json with
            a schema, otherwise zero_shot.
        max_prompt_tokens: hits that find no room in them, or in the model, are left out, and the answer says how many;
            None: 1,024 in a prompt, 2,048 where each hit is read apart.
        max_answer_tokens: the answer ends there at the latest.
        threshold: least confidence of an answer.
        closed_book: without any hit the model answers from the question alone, which nothing bears out and nothing is
            cited for; otherwise there is no answer then.
        strict: sentences that nothing bears out are left out of the answer.
        base_url: of a server that speaks the OpenAI protocol, which question and passages are sent to; ``model`` is a
            name on that server then, and a prompt takes 2,048 tokens if nothing else is said. The key is in the
            environment: ``RAGQA_API_KEY``, else ``OPENAI_API_KEY``.
        generation: how tokens are chosen: temperature, top_p, top_k, min_p, repetition_penalty, stop, seed, and for a
            server extra_body; the likeliest each time if nothing is said.
        timeout_seconds: the longest wait for a server.
        retries: how often a server is asked again after a fault that may pass.
        shots, examples, nearest: worked examples in the prompt: how many, the JSON Lines that they are taken from, and
            whether those nearest to each question or the first; see ``ragqa.recipe``.
        schema: a file with the JSON Schema that the answer shall fit; it is JSON then, written twice at most.
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        precision: str = "auto",
        device: str = "auto",
        prompt: str = AUTO,
        max_prompt_tokens: int | None = None,
        max_answer_tokens: int = 64,
        threshold: float = 0.0,
        closed_book: bool = False,
        strict: bool = False,
        base_url: str | None = None,
        generation: dict[str, Any] | None = None,
        timeout_seconds: float = 120.0,
        retries: int = 2,
        shots: int | None = None,
        examples: str | None = None,
        nearest: bool = True,
        schema: str | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        recipe = Recipe(prompt=prompt, shots=shots, examples=examples, nearest=nearest, schema=schema)
        writer = writer_of(
            model,
            section="reader",
            recipe=recipe,
            base_url=base_url,
            device=device,
            precision=precision,
            max_prompt_tokens=max_prompt_tokens,
            max_answer_tokens=max_answer_tokens,
            generation=generation,
            timeout_seconds=timeout_seconds,
            retries=retries,
        )
        self._is_structured = recipe.schema is not None
        self._writer: Writer = fitted(writer, recipe.schema)
        self._threshold = threshold
        self._closed_book = closed_book
        self._strict = strict
        self._model = model

    def read(
        self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]], heard: Heard | None = None
    ) -> list[Answer]:
        """One answer for each query, written from its hits.

        Args:
            heard: of one query alone: gets what is written piece by piece, before it is known whether the hits bear it
                out. The phrases that say there is no answer are not heard.
        """
        answers = self._quoted(queries, hits, heard)
        rows = [row for row in range(len(queries)) if row not in answers]
        if rows:
            written = self._written([queries[row] for row in rows], [hits[row] for row in rows], heard)
            answers.update(zip(rows, written, strict=True))
        return [answers[row] for row in range(len(queries))]

    def _written(
        self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]], heard: Heard | None
    ) -> list[Answer]:
        live = None if heard is None else Withheld(heard)
        drafts = self._writer.write(
            [q.text for q in queries],
            [[hit.passage for hit in mine] for mine in hits],
            heard=None if live is None else live.hear,
        )
        if live is not None:
            live.end()
        return [self._answer(*one) for one in zip(queries, drafts, hits, strict=True)]

    def _quoted(
        self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]], heard: Heard | None
    ) -> dict[int, Answer]:
        """What is found for the queries that the model has no words for, by row."""
        found = {}
        for row, query in enumerate(queries):
            if can_word(self._model, query.text):
                continue
            (answer,) = self._extractive.read([query], [hits[row]])
            if heard is not None and answer.text:
                heard(answer.text)
            note = "; ".join(filter(None, (answer.note, f"quoted: {NO_CHINESE}")))
            found[row] = replace(answer, note=note)
        return found

    @cached_property
    def _extractive(self) -> Reader:
        reader: Reader = plugins.build("readers", {"name": "extractive"})
        return reader

    def stream(self, query: Query, hits: Sequence[Hit], heard: Heard) -> Answer:
        """The answer that ``read`` gives, heard while it is written."""
        return self.read([query], [hits], heard)[0]

    def _answer(self, query: Query, draft: Draft, hits: Sequence[Hit]) -> Answer:
        if self._is_structured and not declines(draft.text):
            return self._structured(query, draft, hits)
        text, is_endless = trickled(draft.text)
        if self._closed_book and not hits:
            return self._from_memory(text, math.exp(draft.log_probability))
        found = () if declines(text) else support(text, draft.passages, query.text)
        if is_endless and found:  # nothing says what its last sentence would have come to
            found = (*found[:-1], replace(found[-1], score=0.0, citations=()))
        citations = cited(found)
        # The words of a refusal, or of what nothing bears out, say nothing of being right.
        confidence = _confidence(draft, found) if citations else 0.0
        note = _note(draft, is_empty=not text, is_endless=is_endless)
        candidate = "" if declines(text) else text
        details: dict[str, Any] = {
            "support": _mean_support(found),
            "unsupported": sum(not sentence.citations for sentence in found),
            **self._told(draft),
        }
        if not citations or confidence < self._threshold:
            return Answer(None, confidence, (), tuple(hits), note=note, details=details, candidate=candidate)
        if self._strict:
            text, found = kept(text, found)
        return Answer(
            text,
            confidence,
            citations,
            tuple(hits),
            sentence=cited_sentence(citations[0], hits),
            note=note,
            details=details,
            sentences=found,
            candidate=candidate,
        )

    def _told(self, draft: Draft) -> dict[str, Any]:
        """Figures of a draft for ``--explain``."""
        examples = {"examples": draft.shots, "examples_left_out": draft.shots_left_out}
        return {
            "passages": len(draft.passages),
            "left_out": draft.left_out,
            **(examples if any(examples.values()) else {}),
            **({"prompt_tokens": draft.prompt_tokens} if draft.prompt_tokens else {}),
            "threshold": self._threshold,
        }

    def _structured(self, query: Query, draft: Draft, hits: Sequence[Hit]) -> Answer:
        """An answer that fits the schema, with what bears each of its strings and numbers out; or why it is none."""
        details = {**self._told(draft), "tries": draft.tries}
        if draft.fault:
            failure = f"what the model wrote is not valid after one repair: {draft.fault}"
            details = {"written": draft.text, **details}
            return Answer(None, 0.0, (), tuple(hits), note=_note(draft), details=details, failure=failure)
        data = json.loads(draft.text)
        found = {place: _borne_out(value, draft, query) for place, value in leaves(data) if value != ""}
        unsupported = ", ".join(place for place, mine in found.items() if not mine)
        borne_out = [one for mine in found.values() for one in mine]
        citations = cited(borne_out)
        confidence = _confidence(draft, borne_out) if citations else 0.0
        details = {
            "support": sum(map(bool, found.values())) / max(1, len(found)),
            "unsupported": unsupported,
            **details,
        }
        if not citations or confidence < self._threshold:
            return Answer(
                None,
                confidence,
                (),
                tuple(hits),
                note=_note(draft),
                details=details,
                candidate=draft.text,
            )
        return Answer(
            draft.text,
            confidence,
            citations,
            tuple(hits),
            sentence=cited_sentence(citations[0], hits),
            note=_note(draft, unsupported=unsupported),
            details=details,
            data=data,
            candidate=draft.text,
        )

    def _from_memory(self, text: str, confidence: float) -> Answer:
        """What was written without any passage."""
        candidate = "" if declines(text) else text
        given = bool(candidate) and confidence >= self._threshold and not self._strict
        return Answer(
            candidate if given else None,
            confidence if candidate else 0.0,
            (),
            (),
            note=CLOSED_BOOK_NOTE,
            details={"threshold": self._threshold},
            sentences=tuple(Supported(s.start, s.end, 0.0) for s in sentences(candidate)) if given else (),
            candidate=candidate,
        )


def _confidence(draft: Draft, found: Sequence[Supported]) -> float:
    return math.exp(draft.log_probability) if draft.is_measured else _mean_support(found)


def _mean_support(found: Sequence[Supported]) -> float:
    return sum(sentence.score for sentence in found) / max(1, len(found))


def _borne_out(value: str | int | float, draft: Draft, query: Query) -> tuple[Supported, ...]:
    """What bears a value of JSON out, in one of the ways in which a document may write it."""
    wordings = (value,) if isinstance(value, str) else (str(value), f"{value:,}", f"{value:g}")
    tried = (support(text, draft.passages, query.text) for text in wordings)
    return next((found for found in tried if found and all(one.citations for one in found)), ())


def _note(draft: Draft, *, is_empty: bool = False, is_endless: bool = False, unsupported: str = "") -> str:
    said = [draft.note] if draft.note else []
    if draft.shots_left_out:
        of = draft.shots + draft.shots_left_out
        said.append(f"{draft.shots_left_out} of the {of} worked examples found no room in the prompt")
    if draft.left_out:
        said.append(f"{draft.left_out} of the passages found no room in the prompt")
    if draft.is_cut:
        said.append("the passage was cut to find room")
    if is_empty and draft.passages and not draft.note:
        said.append("the model wrote nothing")
    if is_endless:
        said.append("the model repeated itself without end and was cut off")
    if unsupported:
        said.append(f"no passage bears out {unsupported}")
    return "; ".join(said)
