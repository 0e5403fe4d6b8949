"""How long a question takes, asked alone: the time of each stage, questions a second, and memory."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from ragqa.evaluation.latency import quantiles
from ragqa.memory import peak_memory
from ragqa.pipeline import Pipeline
from ragqa.types import Hit, Query

SAMPLE = 50
"""Questions that are asked one by one."""

MOST_SECONDS = 30.0
"""After so long no further one is asked: a slow reader must not double the time of an evaluation."""

TOTAL = "total"
_STAGES = ("encode", "dense", "bm25", "fuse", "rerank", "read")


def measure(
    pipeline: Pipeline,
    queries: Sequence[Query],
    *,
    read: bool = True,
    given: Callable[[Query], Sequence[Hit]] | None = None,
) -> dict[str, Any]:
    """Milliseconds of each stage and in all, over questions drawn by a fixed seed and asked one at a time.

    The account of time that the pipeline keeps begins anew.

    Args:
        read: whether the reader takes part; otherwise the time ends with the hits.
        given: the hits that a question is read with; nothing is retrieved then.

    Returns:
        ``questions`` asked; ``milliseconds``: stage → p50, p95, p99 (stages that did not run are missing);
        ``questions a second``; ``peak memory in MB`` of the whole process until now.
    """
    drawn = random.Random(0).sample(list(queries), min(SAMPLE, len(queries)))
    times: dict[str, list[float]] = {}
    _timed(pipeline, drawn[0], read, given)  # models are loaded at the first question
    started = time.perf_counter()
    for query in drawn:
        if time.perf_counter() - started > MOST_SECONDS:
            break
        for stage, taken in _timed(pipeline, query, read, given).items():
            times.setdefault(stage, []).append(1000 * taken)
    return {
        "questions": len(times[TOTAL]),
        "milliseconds": {stage: quantiles(mine) for stage, mine in times.items()},
        "questions a second": round(1000 * len(times[TOTAL]) / sum(times[TOTAL]), 1),
        "peak memory in MB": round(peak_memory()),
    }


def _timed(
    pipeline: Pipeline, query: Query, read: bool, given: Callable[[Query], Sequence[Hit]] | None
) -> dict[str, float]:
    """Seconds of each stage for one question, and of all together."""
    pipeline.timings.seconds = {}
    started = time.perf_counter()
    if given is not None:
        pipeline.read([query], [given(query)])
    elif read:
        pipeline.ask_many([query])
    else:
        pipeline.retrieve([query])
    total = time.perf_counter() - started
    taken = pipeline.timings.seconds
    return {**{stage: taken[stage] for stage in _STAGES if stage in taken}, TOTAL: total}
