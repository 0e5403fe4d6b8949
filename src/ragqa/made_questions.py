"""Questions made from an index's own documents, where nobody has written any: the inverse cloze task.

A sentence is taken out of a passage and asked; what should be found is the passage without it (Lee, Chang and
Toutanova 2019, arXiv:1906.00300). Such questions are longer than real ones and share the words of the neighbouring
sentences, so they tell how dense and BM25 do on these documents, and nothing about answers.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ragqa import analysis, plugins
from ragqa.config import Config
from ragqa.gold import Located
from ragqa.hybrid import HybridSearch, Timings
from ragqa.protocols import Encoder, TermIndex, Vectors, VectorStore
from ragqa.sentences import sentences
from ragqa.types import Example, Passage, Query, Span

COUNT = 400
"""How many are made if nothing else is asked for."""

LEAST = 100
"""Fewer are too few to move a setting: what 26 of them chose for Cranfield cost real questions 0.028 of nDCG@10."""

LEAST_TERMS, MOST_TERMS = 5, 40
"""Distinct words, or Han characters, of a sentence that can be asked: fewer say little, more are no sentence."""

LEAST_SENTENCES = 3
"""Sentences of a passage that one may be taken from: something has to be left."""


@dataclass(frozen=True, slots=True)
class Cloze:
    """A passage's row, and the sentence of it that is asked, in characters of its text."""

    row: int
    passage: Passage
    sentence: Span

    @property
    def question(self) -> str:
        return self.passage.text[self.sentence.start : self.sentence.end]

    @property
    def rest(self) -> Passage:
        """The passage without the sentence; it lives in memory alone, and keeps its place."""
        text, cut = self.passage.text, self.sentence
        return replace(self.passage, text=f"{text[: cut.start].rstrip()} {text[cut.end :].lstrip()}".strip())


@dataclass(frozen=True, slots=True)
class Made:
    """Questions, and a search over the passages of the index without the sentences that are asked."""

    questions: tuple[Located, ...]
    search: HybridSearch


def make(
    passages: Sequence[Passage],
    vectors: Vectors,
    encoder: Encoder,
    config: Config,
    count: int = COUNT,
    seed: int = 0,
) -> Made:
    """At most ``count`` questions, no two about one passage; none where no passage has sentences enough.

    Args:
        vectors: of the passages, (N, D).
    """
    found = clozes(passages, count, seed)
    questions = tuple(
        Located(Example(Query(one.question, id=f"made {number}"), positives=(one.passage,)), (one.row,), None)
        for number, one in enumerate(found, 1)
    )
    return Made(questions, _search_without(passages, vectors, encoder, config, found))


def clozes(passages: Sequence[Passage], count: int, seed: int) -> list[Cloze]:
    """Sentences that stand in one passage alone, drawn by ``seed``, in the order of their passages.

    What stands in several passages (overlap, boilerplate, copies) cannot be taken away from one.
    """
    known = Counter(_folded(p.text[s.start : s.end]) for p in passages for s in sentences(p.text))
    rows = list(range(len(passages)))
    chance = random.Random(seed)
    chance.shuffle(rows)
    found: list[Cloze] = []
    for row in rows:
        if len(found) == count:
            break
        fitting = list(_askable(passages[row], known))
        if fitting:
            found.append(Cloze(row, passages[row], chance.choice(fitting)))
    return sorted(found, key=lambda one: one.row)


def _askable(passage: Passage, known: Counter[str]) -> Iterator[Span]:
    spans = sentences(passage.text)
    if len(spans) < LEAST_SENTENCES:
        return
    for span in spans:
        text = passage.text[span.start : span.end]
        if known[_folded(text)] == 1 and LEAST_TERMS <= _size(text) <= MOST_TERMS:
            yield span


def _size(text: str) -> int:
    """Distinct terms of a sentence; pairs of Han characters say nothing that the characters have not said."""
    return sum(not (len(term) == 2 and analysis.is_han(term)) for term in set(analysis.terms(text)))


def _search_without(
    passages: Sequence[Passage], vectors: Vectors, encoder: Encoder, config: Config, asked: Sequence[Cloze]
) -> HybridSearch:
    texts, without = [passage.titled_text for passage in passages], np.array(vectors)
    if asked:
        rests = [one.rest.titled_text for one in asked]
        without[[one.row for one in asked]] = encoder.encode_passages(rests)
        for one, rest in zip(asked, rests, strict=True):
            texts[one.row] = rest
    store: VectorStore = plugins.build("stores", config.store.options())
    store.add(without)
    lexical: TermIndex = plugins.build("indexes", config.lexical.options())
    lexical.add([analysis.terms(text) for text in texts])
    return HybridSearch(encoder, store, lexical, config.fusion, Timings())


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
