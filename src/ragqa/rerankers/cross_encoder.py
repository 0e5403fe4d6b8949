"""Reads the query and each candidate together: slower than vectors, and better at what exactly is asked.

The new score is a convex combination, on [0, 1] as that of the retrievers:

    weight · max(0, 1 - (max s - s) / spread)  +  (1 - weight) · fused score

with the scores s that the model gives to the candidates of one query. The ``spread`` is that of a usual query, fitted
in training: where the model hardly tells the candidates apart, the order stays that of the retrievers. Without a
fitted one it is the query's own, max s - min s. The fused score stays among the ``legs``: a reader's weight and
confidence were fitted on it.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ragqa import pretrained
from ragqa.errors import ConfigError
from ragqa.layout import read_layout
from ragqa.literacy import Literacy
from ragqa.runtimes import open_runtime
from ragqa.runtimes.scoring import window_scores
from ragqa.types import Hit, Passage, Query
from ragqa.windows import LaidOut, Window, Windower, lay_out, load_tokenizer

LEG = "reranker"
"""Under this name a hit's ``legs`` hold what the model itself said."""

FITTED = "reranking.json"
"""Beside the weights: the ``Mixture`` that served held-out questions best."""

_LONGEST_PAIR = 512
"""Tokens of question and passage together for a model of transformers."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """How the model's scores join the fused ones: their ``weight``, and their ``spread`` for a usual query."""

    weight: float = 0.7
    spread: float | None = None

    def of(self, scores: Sequence[float], fused: Sequence[float]) -> list[float]:
        """The combined score of each candidate of a query, on [0, 1] as ``fused``."""
        best = max(scores)
        spread = self.spread or (best - min(scores)) or 1.0
        return [
            self.weight * max(0.0, 1 - (best - score) / spread) + (1 - self.weight) * other
            for score, other in zip(scores, fused, strict=True)
        ]


class CrossEncoderReranker:
    """Scores the first hits with a pair model served by the fastest runtime of this machine.

    Args:
        model: "builtin", a folder that ``ragqa finetune reranker`` wrote, or a cross-encoder as transformers saves
            it, which is taken to read every language it is asked in; of ours the vocabulary tells whether it
            reads Chinese.
        precision, device: see ``ragqa.devices``.
        candidates: hits that are read for each query, best first; those behind them keep their order.
        weight: of the model's own score, from 0 to 1; None takes the one that training fitted.
        max_milliseconds: time for one query; fewer candidates are read where they would take longer, two at least.
    """

    def __init__(
        self,
        *,
        model: str = "builtin",
        precision: str = "auto",
        device: str = "auto",
        candidates: int = 20,
        weight: float | None = None,
        max_milliseconds: float | None = None,
    ) -> None:
        if candidates < 1:
            raise ConfigError(f"reranker.candidates = {candidates}", accepted="1 or more")
        if weight is not None and not 0 <= weight <= 1:
            raise ConfigError(f"reranker.weight = {weight}", accepted="0 to 1")
        if max_milliseconds is not None and not max_milliseconds > 0:
            raise ConfigError(f"reranker.max_milliseconds = {max_milliseconds}", accepted="more than 0")
        folder = pretrained.folder_of("reranker", model)
        self.candidates = candidates
        fitted = fitted_mixture(folder)
        self.mixture = fitted if weight is None else replace(fitted, weight=weight)
        self._budget = None if max_milliseconds is None else max_milliseconds / 1000
        self._seconds_per_token = 0.0
        self._runtime = open_runtime("pair", folder, precision, device)
        backbone = pretrained.backbone_of(folder)
        self._tokenizer = load_tokenizer(backbone)
        self._windower = Windower.of(self._tokenizer)
        self._is_whole = pretrained.is_huggingface(folder)
        self._literacy = Literacy(self._tokenizer, trusted=self._is_whole)
        if self._is_whole:
            self._tokenizer.enable_truncation(min(_LONGEST_PAIR, read_layout(backbone).max_tokens))
        if self._budget is not None:
            self._time()

    def _time(self) -> None:
        """Learn the speed of this machine, so that the first query keeps to its budget, too."""
        ids = np.array(self._tokenizer.encode("a passage " * 64).ids[:128], dtype=np.int64)
        window = Window(ids, len(ids), 0, 0)
        for _ in range(2):  # the first reading pays for what is set up once
            self._scores([window] * 4)

    def rerank(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[list[Hit]]:
        """The hits of each query in their new order; those of a query that the model cannot read stay as they are."""
        asked = [self._lay_out(query, mine) for query, mine in zip(queries, hits, strict=True)]
        scores = iter(self._scores([window for one in asked for window in one.windows]))
        found = []
        for one, mine in zip(asked, hits, strict=True):
            best = [-float("inf")] * one.read
            for owner in one.owners:
                best[owner] = max(best[owner], next(scores))
            found.append(combined(mine, best, self.mixture))
        return found

    def _lay_out(self, query: Query, hits: Sequence[Hit]) -> "_Asked":
        """The windows of the candidates that are read, as many as the budget allows, two at least."""
        if not self._literacy.understands(query.text):
            return _Asked([], [], 0)
        passages = [hit.passage for hit in hits[: self.candidates]]
        make = _as_pairs if self._is_whole else lay_out
        laid = make(self._tokenizer, self._windower, query.text, passages)
        tokens, count = 0, len(laid.windows)
        for window, owner in zip(laid.windows, laid.owners, strict=True):
            tokens += len(window.ids)
            if owner >= 2 and self._too_long(tokens):
                count = laid.owners.index(owner)
                break
        return _Asked(laid.windows[:count], laid.owners[:count], len(set(laid.owners[:count])))

    def _too_long(self, tokens: int) -> bool:
        return self._budget is not None and tokens * self._seconds_per_token > self._budget

    def _scores(self, windows: Sequence[Window]) -> list[float]:
        """What the model says of each window."""
        if not windows:
            return []
        started = time.perf_counter()
        found = window_scores(self._runtime, windows, self._windower)
        tokens = sum(len(window.ids) for window in windows)
        self._seconds_per_token = (time.perf_counter() - started) / tokens
        return found


def _as_pairs(tokenizer: Tokenizer, windower: Windower, query: str, passages: Sequence[Passage]) -> LaidOut:
    """One window for each passage, its title in front, as the tokenizer itself joins two texts and cuts them."""
    encoded = tokenizer.encode_batch_fast([(query, passage.titled_text) for passage in passages])
    windows = [Window(np.array(one.ids, dtype=np.int64), len(one.ids), 0, 0) for one in encoded]
    return LaidOut(windows, list(range(len(windows))), [])


@dataclass(frozen=True, slots=True)
class _Asked:
    """The windows of one query, the hit of each, and how many hits are read."""

    windows: list[Window]
    owners: list[int]
    read: int


def combined(hits: Sequence[Hit], scores: Sequence[float], mixture: Mixture) -> list[Hit]:
    """The first ``len(scores)`` hits by their combined score, best first, then the others as they were.

    Equal scores keep their order. No hit behind the read ones scores above them.
    """
    read, behind = hits[: len(scores)], hits[len(scores) :]
    if not read:
        return list(hits)
    mixed = mixture.of(scores, [hit.score for hit in read])
    found = [
        replace(hit, score=score, legs={**hit.legs, "fused": hit.score, LEG: said})
        for hit, score, said in zip(read, mixed, scores, strict=True)
    ]
    found.sort(key=lambda hit: -hit.score)
    last = found[-1].score
    rest = [
        replace(hit, score=min(last, (1 - mixture.weight) * hit.score), legs={**hit.legs, "fused": hit.score})
        for hit in behind
    ]
    return [*found, *rest]


def fitted_mixture(folder: Path) -> Mixture:
    """What training fitted for the model in ``folder``; a model from elsewhere has the default."""
    try:
        values = json.loads((folder / FITTED).read_text(encoding="utf-8"))
        return Mixture(float(values["weight"]), float(values["spread"]) if "spread" in values else None)
    except (OSError, ValueError, KeyError):
        return Mixture()
