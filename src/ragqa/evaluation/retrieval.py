"""Measures of a ranking against judgements; the values of trec_eval, which breaks equal scores by greater id.

qrels: query id → document id → grade (0 is not relevant). run: query id → document id → score. ranking: document ids,
best first.
"""

import math
from collections.abc import Callable, Mapping, Sequence

Judgements = Mapping[str, int]
Found = Mapping[str, float]
Qrels = Mapping[str, Judgements]
Run = Mapping[str, Found]
Measure = Callable[[Sequence[str], Judgements], float]
"""Document ids, best first, and their grades → score."""


def ranked(found: Found) -> list[str]:
    """Document ids, best first; among equal scores the greater id first, as trec_eval has it."""
    return sorted(sorted(found, reverse=True), key=lambda document: -found[document])


def ndcg(k: int) -> Measure:
    """DCG@k / ideal DCG@k with DCG@k = Σ_{i=1..k} grade_i / log2(i + 1) (Järvelin and Kekäläinen 2002)."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        ideal = _dcg(sorted((g for g in judged.values() if g > 0), reverse=True)[:k])
        gains = [max(0, judged.get(document, 0)) for document in ranking[:k]]
        return _dcg(gains) / ideal if ideal else 0.0

    return measure


def recall(k: int) -> Measure:
    """Share of the relevant documents that stand among the first ``k``."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        relevant = {document for document, grade in judged.items() if grade > 0}
        return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else 0.0

    return measure


def reciprocal_rank(k: int) -> Measure:
    """1 / rank of the first relevant document among the first ``k``; 0 when there is none."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        for rank, document in enumerate(ranking[:k], 1):
            if judged.get(document, 0) > 0:
                return 1 / rank
        return 0.0

    return measure


def precision(k: int) -> Measure:
    """Share of relevant documents among the first ``k`` places, empty places counted."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        return sum(judged.get(document, 0) > 0 for document in ranking[:k]) / k

    return measure


def hit_rate(k: int) -> Measure:
    """1 where a relevant document stands among the first ``k``."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        return float(any(judged.get(document, 0) > 0 for document in ranking[:k]))

    return measure


def average_precision(k: int) -> Measure:
    """Mean, over the relevant documents, of the precision at the rank of each one within the first ``k``; else 0."""

    def measure(ranking: Sequence[str], judged: Judgements) -> float:
        relevant = sum(grade > 0 for grade in judged.values())
        total, seen = 0.0, 0
        for rank, document in enumerate(ranking[:k], 1):
            if judged.get(document, 0) > 0:
                seen += 1
                total += seen / rank
        return total / relevant if relevant else 0.0

    return measure


def per_query(measure: Measure, run: Run, qrels: Qrels) -> dict[str, float]:
    """The measure of every judged query; a query that the run does not answer has 0."""
    return {query: measure(ranked(run.get(query, {})), judged) for query, judged in qrels.items()}


def mean(measure: Measure, run: Run, qrels: Qrels) -> float:
    """Mean over the judged queries.

    Raises:
        ValueError: no query is judged.
    """
    if not qrels:
        raise ValueError("no query is judged")
    return math.fsum(per_query(measure, run, qrels).values()) / len(qrels)


def _dcg(gains: list[int]) -> float:
    return math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))
