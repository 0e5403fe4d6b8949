"""Start and end logits of many windows → comparable answer spans (shared normalisation; see objectives/span.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragqa.windows import TokenText, Window

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Characters [start, end) of passage ``passage`` and ln P(start) + ln P(end) over all windows."""

    passage: int
    start: int
    end: int
    log_probability: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Spans of all passages, best first, and the log probability of the best null."""

    spans: tuple[SpanScore, ...]
    null: float


def log_normalise(scores: Floats, answerable: npt.NDArray[np.bool_]) -> Floats:
    """ln softmax over every answerable position of all windows; ``scores`` and mask are (N, L)."""
    masked = np.where(answerable, scores, -np.inf)
    peak = masked.max()
    normalised: Floats = masked - (peak + np.log(np.exp(masked - peak).sum()))
    return normalised


def best_spans(
    start: npt.NDArray[np.floating],
    end: npt.NDArray[np.floating],
    answerable: npt.NDArray[np.bool_],
    windows: Sequence[Window],
    owners: Sequence[int],
    texts: Sequence[TokenText],
    *,
    max_answer_tokens: int = 30,
    per_passage: int = 5,
) -> Reading:
    """Score spans by ln P(start) + ln P(end), both normalised over all windows together.

    Args:
        start, end, answerable: shape (N, L), one row for each window.
        owners: the passage of each window, an index into ``texts``.
        max_answer_tokens: longest span in tokens.
        per_passage: how many spans to keep of each passage.
    """
    log_start = log_normalise(start.astype(np.float64), answerable)
    log_end = log_normalise(end.astype(np.float64), answerable)
    found: dict[tuple[int, int, int], float] = {}
    for row, window in enumerate(windows):
        first, last = window.text_at, window.text_at + window.length
        inside = slice(window.first, window.first + window.length)
        offsets, paragraphs = texts[owners[row]].offsets[inside], texts[owners[row]].paragraphs[inside]
        grid = _span_grid(log_start[row, first:last], log_end[row, first:last], paragraphs, max_answer_tokens)
        for i, j, score in _top(grid, per_passage):
            key = (owners[row], int(offsets[i, 0]), int(offsets[j, 1]))
            found[key] = max(score, found.get(key, -np.inf))
    kept: list[SpanScore] = []
    for owner in sorted(set(owners)):
        mine = [SpanScore(*key, score) for key, score in found.items() if key[0] == owner]
        kept += sorted(mine, key=lambda s: (-s.log_probability, s.start, s.end))[:per_passage]
    kept.sort(key=lambda s: (-s.log_probability, s.passage, s.start, s.end))
    null = float((log_start[:, 0] + log_end[:, 0]).max())
    return Reading(tuple(kept), null)


def _span_grid(start: Floats, end: Floats, paragraphs: npt.NDArray[np.int64], longest: int) -> Floats:
    """Scores (T, W) of the spans from token i to i + w; -inf where it leaves the text or its paragraph.

    A span that runs over a paragraph break glues a heading to the text below it; none is an answer.
    """
    tokens = len(start)
    width = min(longest, tokens)
    if not width:
        return np.empty((0, 1))
    windows = np.lib.stride_tricks.sliding_window_view
    ends = windows(np.concatenate([end, np.full(width - 1, -np.inf)]), width)
    blocks = windows(np.concatenate([paragraphs, np.full(width - 1, -1)]), width)
    grid: Floats = np.where(blocks == paragraphs[:, None], start[:, None] + ends, -np.inf)
    return grid


def _top(grid: Floats, count: int) -> list[tuple[int, int, float]]:
    """The best (first token, last token, score) of a span grid (T, W), best first."""
    flat = grid.ravel()
    if not len(flat):
        return []
    best = np.argpartition(-flat, min(count, len(flat)) - 1)[:count]
    ordered = sorted(best.tolist(), key=lambda k: (-flat[k], k))
    width = grid.shape[1]
    return [(k // width, k // width + k % width, float(flat[k])) for k in ordered if np.isfinite(flat[k])]
