"""Writes the answer, and cites the words of the passages that bear it out.

A language model of transformers goes on from a prompt with the question and as many hits as find room; ours, an
encoder–decoder with a pointer, reads each hit apart (``ragqa.writing``). What is written counts only if the hits bear
it out: they hold the very words, or a sentence with most of its terms. Its confidence is the mean probability of the
tokens that were written, which nothing has calibrated; of a server that tells no probabilities, the share of the
answer's terms that stand in the cited sentence.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragqa import backbone, pretrained
from ragqa.analysis import terms
from ragqa.devices import choose_device, choose_precision
from ragqa.drafts import Draft, Writer
from ragqa.errors import ConfigError
from ragqa.prompting import NOT_HERE
from ragqa.sampling import sampling_of
from ragqa.sentences import coverage, sentence_around, sentences
from ragqa.trickle import kept
from ragqa.types import CLOSED_BOOK_NOTE, Answer, Citation, Hit, Passage, Query, Span

LEAST_SUPPORT = 0.6
"""Share of an answer's terms that a sentence must hold to bear it out."""

_TYPES = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class _Support:
    """Where a passage bears an answer out, and how much of it, from 0 to 1."""

    passage: Passage
    span: Span
    share: float


class GenerativeReader:
    """Reads with a sequence-to-sequence or causal language model, or with an encoder–decoder of ours.

    Args:
        model: "builtin", a Hugging Face folder, or one that ``ragqa finetune generator`` wrote.
        precision, device: see ``ragqa.devices``; what writes runs in f32 or bf16.
        prompt: of a language model: the template, by name or as a Jinja file.
        max_prompt_tokens: hits that find no room in them, or in the model, are left out, and the answer says how many;
            None: 1,024 in a prompt, 2,048 where each hit is read apart.
        max_answer_tokens: the answer ends there at the latest.
        threshold: least confidence of an answer.
        closed_book: without any hit the model answers from the question alone, which nothing bears out and nothing is
            cited for; otherwise there is no answer then.
        base_url: of a server that speaks the OpenAI protocol, which question and passages are sent to; ``model`` is a
            name on that server then, and a prompt takes 2,048 tokens if nothing else is said. The key is in the
            environment: ``RAGQA_API_KEY``, else ``OPENAI_API_KEY``.
        generation: how tokens are chosen: temperature, top_p, top_k, min_p, repetition_penalty, stop, seed, and for a
            server extra_body; the likeliest each time if nothing is said.
        timeout_seconds: the longest wait for a server.
        retries: how often a server is asked again after a fault that may pass.
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        precision: str = "auto",
        device: str = "auto",
        prompt: str = "zero_shot",
        max_prompt_tokens: int | None = None,
        max_answer_tokens: int = 64,
        threshold: float = 0.0,
        closed_book: bool = False,
        base_url: str | None = None,
        generation: dict[str, Any] | None = None,
        timeout_seconds: float = 120.0,
        retries: int = 2,
    ) -> None:
        if max_answer_tokens < 1:
            raise ConfigError(f"reader.max_answer_tokens = {max_answer_tokens}", accepted="1 or more")
        if not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        if not 0 < timeout_seconds <= 86_400:
            raise ConfigError(
                f"reader.timeout_seconds = {timeout_seconds}", accepted="more than 0, up to a day"
            )
        if not 0 <= retries <= 100:
            raise ConfigError(f"reader.retries = {retries}", accepted="0 to 100")
        options = {
            "prompt": prompt,
            "max_tokens": max_prompt_tokens,
            "max_answer_tokens": max_answer_tokens,
            "sampling": sampling_of(generation),
        }
        self._writer = (
            _local(model, device, precision, options)
            if base_url is None
            else _remote(base_url, model, timeout_seconds, retries, options)
        )
        self._threshold = threshold
        self._closed_book = closed_book

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One answer for each query, written from its hits."""
        drafts = self._writer.write(
            [q.text for q in queries], [[hit.passage for hit in mine] for mine in hits]
        )
        return [self._answer(draft, mine) for draft, mine in zip(drafts, hits, strict=True)]

    def _answer(self, draft: Draft, hits: Sequence[Hit]) -> Answer:
        text, is_endless = kept(draft.text)
        if self._closed_book and not hits:
            return self._from_memory(text, math.exp(draft.log_probability))
        support = None if _declines(text) else supported(text, draft.passages)
        # The words of a refusal, or of what nothing bears out, say nothing of being right.
        confidence = 0.0 if support is None else _confidence(draft, support)
        note = _note(draft, is_empty=not text, is_endless=is_endless)
        details: dict[str, Any] = {
            "candidate": "" if _declines(text) else text,
            "support": 0.0 if support is None else support.share,
            "passages": len(draft.passages),
            "left_out": draft.left_out,
            "threshold": self._threshold,
        }
        if support is None or confidence < self._threshold:
            return Answer(None, confidence, (), tuple(hits), note=note, details=details)
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
            note=note,
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


def _confidence(draft: Draft, support: _Support) -> float:
    return math.exp(draft.log_probability) if draft.is_measured else support.share


def _note(draft: Draft, *, is_empty: bool, is_endless: bool) -> str:
    said = [draft.note] if draft.note else []
    if draft.left_out:
        said.append(f"{draft.left_out} of the passages found no room in the prompt")
    if draft.is_cut:
        said.append("the passage was cut to find room")
    if is_empty and draft.passages and not draft.note:
        said.append("the model wrote nothing")
    if is_endless:
        said.append("the model repeated itself without end and was cut off")
    return "; ".join(said)


def _local(model: str, device: str, precision: str, options: Mapping[str, Any]) -> Writer:
    """The writer of a model in this process."""
    device = choose_device(device)
    precision = choose_precision(precision, device)
    if precision not in _TYPES:
        raise ConfigError(f"reader.precision = {precision}", accepted=f"auto, {', '.join(_TYPES)}")
    folder = (
        pretrained.folder_of("generator", model) if model == backbone.BUILTIN else backbone.resolve(model)
    )
    import torch  # here, so that a configuration is checked and a server asked without it

    from ragqa.writing import open_writer

    return open_writer(folder, device=device, dtype=getattr(torch, _TYPES[precision]), **options)


def _remote(
    base_url: str, model: str, timeout_seconds: float, retries: int, options: Mapping[str, Any]
) -> Writer:
    """The writer of a model behind a server."""
    if model == backbone.BUILTIN:
        raise ConfigError(
            "reader.base_url is set, but not which model of that server writes",
            accepted="reader.model=NAME",
            next_step=f"ragqa doctor --set reader.base_url={base_url}, which lists them",
        )
    from ragqa.endpoint import Endpoint
    from ragqa.endpoint_writer import EndpointWriter

    endpoint = Endpoint(base_url, model, timeout_seconds=timeout_seconds, retries=retries)
    return EndpointWriter(endpoint, **options)
