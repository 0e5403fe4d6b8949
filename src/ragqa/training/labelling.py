"""Questions with answers → the passages that bear the answers out, by the reader's likelihood under each hit.

The likelihood of the answer a to the question q under the hit d is that of its places in d, of which each is read as
a span, with starts and ends normalised over d and its null:

    P(a | q, d) = Σ_{(i, j): d[i..j] = a} P(start = i | q, d) · P(end = j | q, d)

and the share of d among the hits D is P(a | q, d) / Σ_{d' ∈ D} P(a | q, d') (Izacard and Grave 2021, arXiv:2012.04584;
Izacard et al. 2022, arXiv:2208.03299, section 2.2).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragqa.evaluation.answers import occurrences
from ragqa.readers.extractive import ExtractiveReader
from ragqa.span_network import ScoredPassage
from ragqa.spans import log_normalise
from ragqa.training.retrieval import Retrieves
from ragqa.types import Example, Passage, Span
from ragqa.windows import token_span

LEAST_SHARE = 0.05
"""Hits that are worth less of a question's target count neither way."""

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Borne:
    """A hit that holds the answer: how likely the answer is there, and where it stands most likely."""

    passage: Passage
    likelihood: float
    span: Span


@dataclass(slots=True)
class Tally:
    """How many questions were labelled, how many have no hit that bears the answer out, and how many are in a language
    that the reader does not read."""

    labelled: int = 0
    without: int = 0
    unread: int = 0


def label(
    pairs: Sequence[Example],
    retriever: Retrieves,
    reader: ExtractiveReader,
    top_k: int,
    least: float,
    tally: Tally,
) -> Iterator[tuple[Example, list[Borne]]]:
    """Each question with the hits that hold its answer, likeliest first.

    Questions whose answer is less likely than ``least`` under every one of its ``top_k`` hits are left out.
    """
    readable = [pair for pair in pairs if not reader.is_lexical(pair.query)]
    tally.unread = len(pairs) - len(readable)
    for at in range(0, len(readable), _AT_ONCE):
        few = readable[at : at + _AT_ONCE]
        hits = retriever.retrieve([e.query.text for e in few], top_k)
        holding = [
            [hit.passage for hit in mine if occurrences(hit.passage.text, e.answers)]
            for e, mine in zip(few, hits, strict=True)
        ]
        scored = reader.network.scored([e.query for e in few], holding)
        for example, mine, read in zip(few, holding, scored, strict=True):
            borne = borne_out(example.answers, mine, read)
            if borne and borne[0].likelihood >= least:
                tally.labelled += 1
                yield example, borne
            else:
                tally.without += 1


def borne_out(
    answers: Sequence[str], passages: Sequence[Passage], scored: Sequence[ScoredPassage]
) -> list[Borne]:
    """The passages in which any of the ``answers`` was read, likeliest first."""
    found = []
    for passage, mine in zip(passages, scored, strict=True):
        start, end, answerable = mine.stacked
        starts, ends = (log_normalise(scores.astype(np.float64), answerable) for scores in (start, end))
        places: list[tuple[float, Span]] = []
        for span in occurrences(passage.text, answers):
            tokens = token_span(mine.text, span.start, span.end)
            if tokens is None:
                continue
            likelihood = 0.0
            for row, window in enumerate(mine.windows):
                first, last = tokens[0] - window.first, tokens[1] - window.first
                if first >= 0 and last < window.length:
                    at = window.text_at
                    likelihood += float(np.exp(starts[row, at + first] + ends[row, at + last]))
            places.append((likelihood, span))
        if places:
            _, best = max(places, key=lambda place: place[0])
            found.append(Borne(passage, sum(value for value, _ in places), best))
    return sorted(found, key=lambda borne: -borne.likelihood)


def line(example: Example, borne: Sequence[Borne], *, by_document: bool = True) -> str:
    """A labelled question as ragqa's own JSON Lines hold it.

    Args:
        by_document: name the document of each passage; otherwise each passage is one.
    """
    first, *others = borne
    total = sum(one.likelihood for one in borne)
    shares = [one.likelihood / total for one in others]
    return json.dumps(
        {
            "id": example.query.id,
            "question": example.query.text,
            **_named(first.passage, by_document),
            "answers": [first.passage.text[first.span.start : first.span.end]],
            "start": first.span.start,
            "also": [
                {
                    **_named(one.passage, by_document),
                    "share": round(share, 4) if share >= LEAST_SHARE else 0.0,
                }
                for one, share in zip(others, shares, strict=True)
                if one.passage.text != first.passage.text
            ],
        },
        ensure_ascii=False,
    )


def _named(passage: Passage, by_document: bool) -> dict[str, Any]:
    named = {"title": passage.title, "passage": passage.text}
    return {"document": passage.doc_id, **named} if by_document else named
