"""What the span model says of passages: a score for each of their tokens, and the spans that follow.

queries × passages ──windows──▶ batches ──runtime──▶ ScoredPassage ──together──▶ Reading
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ragqa import pretrained
from ragqa.literacy import Literacy
from ragqa.runtimes import open_runtime
from ragqa.runtimes.batches import plan
from ragqa.spans import Reading, best_spans
from ragqa.types import Hit, Passage, Query
from ragqa.windows import TokenText, Window, Windower, lay_out, load_tokenizer, pad, stacked_rows

_QUERIES_AT_ONCE = 64
"""Queries whose windows are batched together; bounds memory, whatever the number of queries."""

_WindowScores = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Start scores, end scores and answerable positions of one window, each (L,)."""


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """All that the network says of one passage for one query, whatever else is read beside it."""

    windows: tuple[Window, ...]
    scores: tuple[_WindowScores, ...]
    text: TokenText

    @property
    def stacked(self) -> _WindowScores:
        """Start scores, end scores and answerable positions of its windows together, each (N, L)."""
        start, end, answerable = (stacked_rows([row[part] for row in self.scores]) for part in range(3))
        return start, end, answerable


class SpanNetwork:
    """A fine-tuned span model served by the fastest runtime of this machine.

    Args:
        folder: holds the model; it names its backbone.
        precision, device: see ``ragqa.devices``.
        max_answer_tokens: longest span in tokens.
    """

    def __init__(self, folder: Path, precision: str, device: str, max_answer_tokens: int) -> None:
        self._max_answer_tokens = max_answer_tokens
        self._runtime = open_runtime("span", folder, precision, device)
        self._tokenizer = load_tokenizer(pretrained.backbone_of(folder))
        self._windower = Windower.of(self._tokenizer)
        self.literacy = Literacy(self._tokenizer, trusted=pretrained.is_huggingface(folder))

    def readings(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Reading | None]:
        """For each query the spans of all its hits, scored together; None for a query without any hit.

        Windows of many queries share a batch, which changes a score by no more than the rounding of padded sums.
        """
        found: list[Reading | None] = []
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            few = slice(first, first + _QUERIES_AT_ONCE)
            found += map(
                self.together, self.scored(queries[few], [[h.passage for h in m] for m in hits[few]])
            )
        return found

    def scored(
        self, queries: Sequence[Query], passages: Sequence[Sequence[Passage]]
    ) -> list[list[ScoredPassage]]:
        """What the network says of each passage of each query; all windows are in memory at once."""
        asked = [
            lay_out(self._tokenizer, self._windower, query.text, mine)
            for query, mine in zip(queries, passages, strict=True)
        ]
        # A passage may be asked about twice, among others and alone, as an evaluation does: it is read once.
        rows_of: dict[tuple[bytes, int], int] = {}
        row_of = [
            rows_of.setdefault((window.ids.tobytes(), window.text_at), len(rows_of))
            for one in asked
            for window in one.windows
        ]
        windows = dict(zip(row_of, (window for one in asked for window in one.windows), strict=True))
        plans = plan([len(windows[row].ids) for row in range(len(windows))], self._runtime.batch_tokens)
        batches = [pad([windows[row] for row in rows], self._windower) for rows in plans]
        outputs = self._runtime.run([(ids, mask, kinds) for ids, mask, kinds, _ in batches])
        scores: dict[int, _WindowScores] = {}
        for rows, (start, end), (*_, answerable) in zip(plans, outputs, batches, strict=True):
            scores |= {row: (start[i], end[i], answerable[i]) for i, row in enumerate(rows)}
        first, found = 0, []
        for one in asked:
            windows_of: list[list[int]] = [[] for _ in one.texts]
            for row, owner in enumerate(one.owners):
                windows_of[owner].append(row)
            found.append(
                [
                    ScoredPassage(
                        tuple(one.windows[row] for row in mine),
                        tuple(scores[row_of[first + row]] for row in mine),
                        text,
                    )
                    for mine, text in zip(windows_of, one.texts, strict=True)
                ]
            )
            first += len(one.windows)
        return found

    def together(self, passages: Sequence[ScoredPassage]) -> Reading | None:
        """The spans of the passages of one query, normalised together; None where there is no passage."""
        if not passages:
            return None
        scores = [one for passage in passages for one in passage.scores]
        start, end, answerable = (stacked_rows([row[part] for row in scores]) for part in range(3))
        return best_spans(
            start,
            end,
            answerable,
            [window for passage in passages for window in passage.windows],
            [owner for owner, passage in enumerate(passages) for _ in passage.windows],
            [passage.text for passage in passages],
            max_answer_tokens=self._max_answer_tokens,
        )
