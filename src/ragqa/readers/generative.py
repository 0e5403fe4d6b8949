"""Writes the answer, and cites the words of the passages that bear it out.

A language model of transformers goes on from a prompt with the question and as many hits as find room; ours, an
encoder–decoder with a pointer, reads each hit apart (``ragqa.writing``). What is written counts only if the hits bear
it out: they hold the very words, or a sentence with most of its terms. Its confidence is the mean probability of the
tokens that were written, which nothing has calibrated.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ragqa import backbone, pretrained
from ragqa.analysis import terms
from ragqa.devices import choose_device, choose_precision
from ragqa.errors import ConfigError
from ragqa.prompting import declines
from ragqa.recipe import AUTO, Recipe
from ragqa.schemas import leaves
from ragqa.sentences import coverage, sentence_around, sentences
from ragqa.structured import fitted
from ragqa.types import CLOSED_BOOK_NOTE, Answer, Citation, Hit, Passage, Query, Span
from ragqa.writing import Draft, Writer, open_writer

LEAST_SUPPORT = 0.6
"""Share of an answer's terms that a sentence must hold to bear it out."""

_TYPES = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class _Support:
    """Where a passage bears an answer out, and how much of it, from 0 to 1."""

    passage: Passage
    span: Span
    share: float

    @property
    def citation(self) -> Citation:
        quote = self.passage.text[self.span.start : self.span.end]
        start = self.passage.start + self.span.start
        return Citation(self.passage.doc_id, start, start + len(quote), quote)

    @property
    def sentence(self) -> str:
        """The sentence around it."""
        around = sentence_around(self.passage.text, self.span)
        return self.passage.text[around.start : around.end]


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
        shots: int | None = None,
        examples: str | None = None,
        nearest: bool = True,
        schema: str | None = None,
    ) -> None:
        if max_answer_tokens < 1:
            raise ConfigError(f"reader.max_answer_tokens = {max_answer_tokens}", accepted="1 or more")
        if not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        device = choose_device(device)
        precision = choose_precision(precision, device)
        if precision not in _TYPES:
            raise ConfigError(f"reader.precision = {precision}", accepted=f"auto, {', '.join(_TYPES)}")
        recipe = Recipe(prompt=prompt, shots=shots, examples=examples, nearest=nearest, schema=schema)
        writer = open_writer(
            pretrained.folder_of("generator", model)
            if model == backbone.BUILTIN
            else backbone.resolve(model),
            device=device,
            dtype=getattr(torch, _TYPES[precision]),
            recipe=recipe,
            max_tokens=max_prompt_tokens,
            max_answer_tokens=max_answer_tokens,
        )
        self._is_structured = recipe.schema is not None
        self._writer: Writer = fitted(writer, recipe.schema)
        self._threshold = threshold
        self._closed_book = closed_book

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, written from its hits."""
        drafts = self._writer.write(
            [q.text for q in queries], [[hit.passage for hit in mine] for mine in hits]
        )
        return [self._answer(draft, mine) for draft, mine in zip(drafts, hits, strict=True)]

    def _answer(self, draft: Draft, hits: Sequence[Hit]) -> Answer:
        text = draft.text
        if self._is_structured and not declines(text):
            return self._structured(draft, hits)
        if self._closed_book and not hits:
            return self._from_memory(text, math.exp(draft.log_probability))
        support = None if declines(text) else supported(text, draft.passages)
        # The words of a refusal, or of what nothing bears out, say nothing of being right.
        confidence = 0.0 if support is None else math.exp(draft.log_probability)
        details: dict[str, Any] = {
            "candidate": "" if declines(text) else text,
            "support": 0.0 if support is None else support.share,
            **self._told(draft),
        }
        if support is None or confidence < self._threshold:
            return Answer(None, confidence, (), tuple(hits), note=_note(draft), details=details)
        return Answer(
            text,
            confidence,
            (support.citation,),
            tuple(hits),
            sentence=support.sentence,
            note=_note(draft),
            details=details,
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

    def _structured(self, draft: Draft, hits: Sequence[Hit]) -> Answer:
        """An answer that fits the schema, with what bears each of its strings and numbers out; or why it is none."""
        if draft.fault:
            failure = f"what the model wrote is not valid after one repair: {draft.fault}"
            details = {"candidate": "", "written": draft.text, "tries": draft.tries, **self._told(draft)}
            return Answer(None, 0.0, (), tuple(hits), _note(draft), details=details, failure=failure)
        data, found, unsupported = json.loads(draft.text), [], []
        for place, value in leaves(data):
            support = next(filter(None, (supported(t, draft.passages) for t in _wordings(value))), None)
            if support is not None:
                found.append(support)
            elif value != "":
                unsupported.append(place)
        confidence = math.exp(draft.log_probability) if found else 0.0
        details = {
            "candidate": draft.text,
            "support": len(found) / max(1, len(found) + len(unsupported)),
            "unsupported": ", ".join(unsupported),
            "tries": draft.tries,
            **self._told(draft),
        }
        if not found or confidence < self._threshold:
            return Answer(None, confidence, (), tuple(hits), note=_note(draft), details=details)
        return Answer(
            draft.text,
            confidence,
            tuple(dict.fromkeys(one.citation for one in found)),
            tuple(hits),
            sentence=found[0].sentence,
            note=_note(draft, unsupported),
            details=details,
            data=data,
        )

    def _from_memory(self, text: str, confidence: float) -> Answer:
        """What was written without any passage."""
        candidate = "" if declines(text) else text
        given = bool(candidate) and confidence >= self._threshold
        details: dict[str, Any] = {"candidate": candidate, "threshold": self._threshold}
        return Answer(
            candidate if given else None,
            confidence if candidate else 0.0,
            (),
            (),
            note=CLOSED_BOOK_NOTE,
            details=details,
        )


def supported(answer: str, passages: Sequence[Passage]) -> _Support | None:
    """Where the passages bear ``answer`` out: its very words, in the first passage that has them, or the sentence
    that holds the greatest share of its terms; None where none holds enough.
    """
    words = re.findall(r"\w+|[^\w\s]", answer)
    if any(word[0].isalnum() for word in words):
        # Not amid a word, where words are set apart by spaces.
        before = r"(?<![a-z0-9])" if words[0][0].isascii() else ""
        after = r"(?![a-z0-9])" if words[-1][-1].isascii() else ""
        pattern = re.compile(before + r"\s*".join(map(re.escape, words)) + after, re.IGNORECASE)
        for passage in passages:
            if match := pattern.search(passage.text):
                return _Support(passage, Span(match.start(), match.end()), 1.0)
    asked = terms(answer)
    best: _Support | None = None
    for passage in passages:
        for span in sentences(passage.text):
            share = coverage(asked, passage.text[span.start : span.end], {}, unseen=1.0)
            if share >= LEAST_SUPPORT and (best is None or share > best.share):
                best = _Support(passage, span, share)
    return best


def _wordings(value: str | int | float) -> tuple[str, ...]:
    """How a document may write a value of JSON."""
    return (value,) if isinstance(value, str) else (str(value), f"{value:,}", f"{value:g}")


def _note(draft: Draft, unsupported: Sequence[str] = ()) -> str:
    said = []
    if draft.shots_left_out:
        of = draft.shots + draft.shots_left_out
        said.append(f"{draft.shots_left_out} of the {of} worked examples found no room in the prompt")
    if draft.left_out:
        said.append(f"{draft.left_out} of the passages found no room in the prompt")
    if draft.is_cut:
        said.append("the passage was cut to find room")
    if unsupported:
        said.append(f"no passage bears out {', '.join(unsupported)}")
    return "; ".join(said)
