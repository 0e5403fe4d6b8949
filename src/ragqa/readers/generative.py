"""Writes the answer with a language model of transformers, and cites the words of the passages that bear it out.

The model goes on from a prompt with the question and as many hits as find room. What it writes counts only if the hits
bear it out: they hold the very words, or a sentence with most of its terms. Its confidence is the mean probability of
the tokens it wrote, which nothing has calibrated.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ragqa import backbone
from ragqa.analysis import terms
from ragqa.devices import choose_device, choose_precision
from ragqa.errors import ConfigError, ModelError
from ragqa.models.generator import load_generator, load_writer_tokenizer
from ragqa.prompting import NOT_HERE, Prompt, Prompter
from ragqa.sentences import coverage, sentence_around, sentences
from ragqa.types import Answer, Citation, Hit, Passage, Query, Span

LEAST_SUPPORT = 0.6
"""Share of an answer's terms that a sentence must hold to bear it out."""

CLOSED_BOOK_NOTE = "no passage was read: this is what the model makes of the question alone"
_BATCH = 8
_TYPES = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class _Support:
    """Where a passage bears an answer out, and how much of it, from 0 to 1."""

    passage: Passage
    span: Span
    share: float


class GenerativeReader:
    """Reads with a sequence-to-sequence or causal language model.

    Args:
        model: a Hugging Face folder, or one that ``ragqa finetune generator`` wrote.
        precision, device: see ``ragqa.devices``; a language model runs in f32 or bf16.
        prompt: the template, by name or as a Jinja file.
        max_prompt_tokens: hits that find no room in them, or in the model, are left out, and the answer says how many.
        max_answer_tokens: the answer ends there at the latest.
        threshold: least confidence of an answer.
        closed_book: without any hit the model answers from the question alone, which nothing bears out and nothing is
            cited for; otherwise there is no answer then.
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        precision: str = "auto",
        device: str = "auto",
        prompt: str = "zero_shot",
        max_prompt_tokens: int = 1024,
        max_answer_tokens: int = 64,
        threshold: float = 0.0,
        closed_book: bool = False,
    ) -> None:
        if max_answer_tokens < 1:
            raise ConfigError(f"reader.max_answer_tokens = {max_answer_tokens}", accepted="1 or more")
        if not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        if model == backbone.BUILTIN:
            raise ModelError(
                "no weights for a generative reader come with this version",
                accepted="the folder of a language model of transformers, or of `ragqa finetune generator`",
            )
        device = choose_device(device)
        precision = choose_precision(precision, device)
        if precision not in _TYPES:
            raise ConfigError(f"reader.precision = {precision}", accepted=f"auto, {', '.join(_TYPES)}")
        folder = backbone.resolve(model)
        self._model = load_generator(folder).to(device, getattr(torch, _TYPES[precision]))
        self._tokenizer = load_writer_tokenizer(folder)
        room = min(max_prompt_tokens, self._model.room(max_answer_tokens))
        self._prompter = Prompter(self._tokenizer, template=prompt, max_tokens=room)
        self._max_answer_tokens, self._threshold = max_answer_tokens, threshold
        self._closed_book = closed_book

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, written from its hits."""
        found: list[Answer] = []
        for at in range(0, len(queries), _BATCH):
            few, theirs = queries[at : at + _BATCH], hits[at : at + _BATCH]
            prompts = [
                self._prompter.prompt(query.text, [hit.passage for hit in mine])
                for query, mine in zip(few, theirs, strict=True)
            ]
            written = self._model.write(
                [prompt.ids for prompt in prompts], self._tokenizer, max_tokens=self._max_answer_tokens
            )
            for mine, prompt, one in zip(theirs, prompts, written, strict=True):
                text = self._tokenizer.decode(one.ids, skip_special_tokens=True).strip()
                found.append(self._answer(text, math.exp(one.log_probability), mine, prompt))
        return found

    def _answer(self, text: str, confidence: float, hits: Sequence[Hit], prompt: Prompt) -> Answer:
        if self._closed_book and not hits:
            return self._from_memory(text, confidence)
        support = None if _declines(text) else supported(text, prompt.passages)
        if (
            support is None
        ):  # the words of a refusal, or of what nothing bears out, say nothing of being right
            confidence = 0.0
        details: dict[str, Any] = {
            "candidate": "" if _declines(text) else text,
            "support": 0.0 if support is None else support.share,
            "passages": len(prompt.passages),
            "left_out": prompt.left_out,
            "threshold": self._threshold,
        }
        if support is None or confidence < self._threshold:
            return Answer(None, confidence, (), tuple(hits), note=_note(prompt), details=details)
        passage, span = support.passage, support.span
        quote = passage.text[span.start : span.end]
        around = sentence_around(passage.text, span)
        start = passage.start + span.start
        return Answer(
            text,
            confidence,
            (Citation(passage.doc_id, start, start + len(quote), quote),),
            tuple(hits),
            sentence=passage.text[around.start : around.end],
            note=_note(prompt),
            details=details,
        )

    def _from_memory(self, text: str, confidence: float) -> Answer:
        """What was written without any passage."""
        candidate = "" if _declines(text) else text
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


def _declines(text: str) -> bool:
    return not text or any(text.casefold().startswith(phrase) for phrase in NOT_HERE.values())


def _note(prompt: Prompt) -> str:
    said = []
    if prompt.left_out:
        said.append(f"{prompt.left_out} of the passages found no room in the prompt")
    if prompt.is_cut:
        said.append("the passage was cut to find room")
    return "; ".join(said)
