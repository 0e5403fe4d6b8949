"""Chooses one of the options of a question, read with the hits; cites the sentence that speaks for it most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragqa import pretrained
from ragqa.analysis import terms
from ragqa.choices import PASSAGE_ONCE, option_probabilities, option_windows, token_ids
from ragqa.errors import ConfigError, UsageError
from ragqa.runtimes import open_runtime
from ragqa.runtimes.scoring import window_scores
from ragqa.sentences import coverage, sentences, term_weights
from ragqa.types import CLOSED_BOOK_NOTE, Answer, Citation, Hit, Query, Span
from ragqa.windows import Window, Windower, load_tokenizer

NOTE = "the sentence is the one that shares most with the question and the option"


class MultipleChoiceReader:
    """Reads options with a choice model served by the fastest runtime of this machine.

    Args:
        model: "builtin", or a folder that ``ragqa finetune choice`` wrote.
        precision, device: see ``ragqa.devices``.
        threshold: least probability of an answer; below it none of the options is given.
        closed_book: without any hit the options are weighed by the question alone, and nothing is cited; otherwise
            none of them is given.
    """

    def __init__(
        self,
        *,
        model: str = "builtin",
        precision: str = "auto",
        device: str = "auto",
        threshold: float = 0.0,
        closed_book: bool = False,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"reader.threshold = {threshold}", accepted="a probability from 0 to 1")
        folder = pretrained.folder_of("choice", model)
        self._threshold, self._closed_book = threshold, closed_book
        self._temperature = pretrained.read_temperature(folder)
        self._runtime = open_runtime("choice", folder, precision, device)
        self._tokenizer = load_tokenizer(pretrained.backbone_of(folder))
        self._windower = Windower.of(self._tokenizer)
        self._passage_once = pretrained.stored_config(folder).get(PASSAGE_ONCE, False)

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """One of the options for each query.

        Raises:
            UsageError: a query without options.
        """
        return [self._answer(query, mine) for query, mine in zip(queries, hits, strict=True)]

    def _answer(self, query: Query, hits: Sequence[Hit]) -> Answer:
        if len(query.choices) < 2:
            raise UsageError(
                f"the question has {len(query.choices)} options to choose from",
                accepted="two or more",
                next_step="--choices 'one|another|a third'",
            )
        if not hits and not self._closed_book:
            return Answer(None, 0.0, (), ())
        scores = self._scores(query, [hit.passage.titled_text for hit in hits] or [""])
        shares = option_probabilities(scores / self._temperature)
        best = int(shares.argmax())
        confidence = float(shares[best])
        likeliest = query.choices[best]
        given = likeliest if confidence >= self._threshold else None
        details = {
            f"{chr(ord('A') + n)} {option}": float(share)
            for n, (option, share) in enumerate(zip(query.choices, shares, strict=True))
        }
        if not hits:
            return Answer(
                given, confidence, (), (), note=CLOSED_BOOK_NOTE, details=details, candidate=likeliest
            )
        hit = hits[int(scores[best].argmax())]
        support = best_sentence(f"{query.text} {likeliest}", hit.passage.text)
        quote = hit.passage.text[support.start : support.end]
        start = hit.passage.start + support.start
        return Answer(
            given,
            confidence,
            () if given is None else (Citation(hit.passage.doc_id, start, start + len(quote), quote),),
            tuple(hits),
            sentence=quote,
            note=NOTE,
            details=details,
            candidate=likeliest,
        )

    def _scores(
        self, query: Query, texts: Sequence[str]
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """What the model says of each option with each text, (O, P)."""
        question, *rest = token_ids(self._tokenizer, [query.text, *query.choices, *texts])
        options, ids = rest[: len(query.choices)], rest[len(query.choices) :]
        placed = [
            _Placed(window, o, p)
            for o, option in enumerate(options)
            for p, text in enumerate(ids)
            for window in option_windows(
                self._windower, question, option, text, passage_once=self._passage_once
            )
        ]
        scores = window_scores(self._runtime, [one.window for one in placed], self._windower)
        found = np.full((len(options), len(texts)), -np.inf)
        for one, score in zip(placed, scores, strict=True):
            found[one.option, one.text] = max(found[one.option, one.text], score)
        return found


@dataclass(frozen=True, slots=True)
class _Placed:
    """A window, and the option and the text that it stands for."""

    window: Window
    option: int
    text: int


def best_sentence(wanted: str, text: str) -> Span:
    """The sentence of ``text`` that holds most of the terms of ``wanted``, by weight; the first of equal ones."""
    spans = sentences(text) or [Span(0, len(text))]
    said = [text[span.start : span.end] for span in spans]
    weights = term_weights(said)
    asked = terms(wanted)
    shares = [coverage(asked, sentence, weights, unseen=1.0) for sentence in said]
    return spans[int(np.argmax(shares))]
