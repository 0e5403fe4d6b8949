"""One record for each question → the scores of a run, each with its 95 % interval and how many questions it counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragqa.analysis import is_han
from ragqa.calibration import expected_calibration_error
from ragqa.evaluation.abstention import brier, coverage_at, refusals, risk_coverage
from ragqa.evaluation.blame import GOOD, Verdict
from ragqa.evaluation.classes import by_letter, confusion
from ragqa.evaluation.retrieval import (
    Measure,
    average_precision,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from ragqa.evaluation.significance import mean_interval
from ragqa.evaluation.trec import RERANKED, last_ranking, qrels_of, ranking_of
from ragqa.evaluation.wording import ROUGE

Record = Mapping[str, Any]

MEASURES: Mapping[str, Measure] = {
    "recall@1": recall(1),
    "recall@5": recall(5),
    "recall@10": recall(10),
    "recall@100": recall(100),
    "hit rate@5": hit_rate(5),
    "precision@5": precision(5),
    "MRR@10": reciprocal_rank(10),
    "MAP@100": average_precision(100),
    "nDCG@10": ndcg(10),
}
RANKINGS = ("dense", "bm25", "fused", RERANKED)
RISK = 0.1
"""The share of wrong answers among those given at which the coverage is told."""


def summarise(records: Sequence[Record], left_out: int = 0) -> dict[str, Any]:
    """Everything that is counted over the records.

    Args:
        left_out: questions that could not be judged on the index.
    """
    judged = [r for r in records if r["verdict"] is not None]
    answerable = [r for r in judged if r["scores"] is not None]
    languages = {"zh": [r for r in answerable if is_han(r["question"])]}
    languages["en"] = [r for r in answerable if not is_han(r["question"])]
    found: dict[str, Any] = {
        "questions": {"asked": len(records), "answerable": len(answerable), "left out": left_out},
        "retrieval": _retrieval(records),
        "answers": _answers(answerable),
        "verdicts": _verdicts(judged),
        "confidence": _confidence(judged) if judged else {},
        "citations": _citations(judged),
    }
    if by_option := [r for r in judged if "options" in r]:
        found["options"] = _options(by_option)
    if all(languages.values()):
        found["answers by language"] = {name: _answers(mine) for name, mine in sorted(languages.items())}
    return found


def question_scores(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Measure → question → score, for every measure that two runs are compared by."""
    found = _of_ranking(records, last_ranking(records))
    answerable = [r for r in records if r["scores"] is not None]
    for name in ("exact match", "F1", *ROUGE, "BLEU", "accuracy"):
        found[name] = {r["id"]: float(r["scores"][name]) for r in answerable if name in r["scores"]}
    found["right"] = {r["id"]: float(r["verdict"] in GOOD) for r in records if r["verdict"] is not None}
    return found


def _retrieval(records: Sequence[Record]) -> dict[str, Any]:
    if not any(r["gold rows"] for r in records):
        return {}
    names = [name for name in RANKINGS if any(name in r["rankings"] for r in records)]
    return {
        name: {label: _mean(list(found.values())) for label, found in _of_ranking(records, name).items()}
        for name in names
    }


def _of_ranking(records: Sequence[Record], name: str) -> dict[str, dict[str, float]]:
    """Measure → question → score of one ranking, for each question with gold rows."""
    found: dict[str, dict[str, float]] = {label: {} for label in MEASURES}
    qrels = qrels_of(records)
    for record in records:
        if record["id"] in qrels and name in record["rankings"]:
            ranking = ranking_of(record, name)
            for label, measure in MEASURES.items():
                found[label][record["id"]] = measure(ranking, qrels[record["id"]])
    return found


def _answers(answerable: Sequence[Record]) -> dict[str, Any]:
    names = dict.fromkeys(name for r in answerable for name in r["scores"])
    return {name: _mean([r["scores"][name] for r in answerable if name in r["scores"]]) for name in names}


def _verdicts(judged: Sequence[Record]) -> dict[str, int]:
    """Verdict → questions; the one for options only where there are some."""
    counts = Counter(r["verdict"] for r in judged)
    shown = [v for v in Verdict if v is not Verdict.NOT_CHOSEN or any("options" in r for r in judged)]
    return {v.value: counts[v.value] for v in shown} if judged else {}


def _options(records: Sequence[Record]) -> dict[str, Any]:
    """Each option by its letter as a class: its scores, and how often which was taken for which (row: the right one).

    Counted is the option that the reader holds most likely, whatever the threshold.
    """
    said = [r for r in records if r["likeliest option"] is not None]
    most = max(len(r["options"]) for r in records)
    matrix = confusion([r["right option"] for r in said], [r["likeliest option"] for r in said], most)
    return {
        "classes": {
            letter: {
                "precision": round(c.precision, 4),
                "recall": round(c.recall, 4),
                "F1": round(c.f1, 4),
                "n": c.support,
            }
            for letter, c in by_letter(matrix).items()
        },
        "confusion": matrix.tolist(),
    }


def outcomes(records: Sequence[Record]) -> tuple[Any, Any]:
    """Confidence of each candidate answer, (N,), and whether it is right, (N,), whatever the threshold."""
    confidence = np.array([r["confidence"] for r in records])
    return confidence, np.array([r["right before the threshold"] for r in records], dtype=float)


def _confidence(records: Sequence[Record]) -> dict[str, Any]:
    confidence, right = outcomes(records)
    refused = np.array([r["answer"] is None for r in records])
    answerable = np.array([r["scores"] is not None for r in records])
    curve = risk_coverage(confidence, right)
    no_answer = refusals(refused, answerable)
    return {
        "expected calibration error": round(expected_calibration_error(confidence, right), 4),
        "Brier score": round(brier(confidence, right), 4),
        "area under risk-coverage": round(curve.area, 4),
        f"coverage at {RISK:.0%} risk": round(coverage_at(curve, RISK), 4),
        "answered": round(float((~refused).mean()), 4),
        "no-answer precision": no_answer.precision,
        "no-answer recall": no_answer.recall,
        "answerable refused": round(float(refused[answerable].mean()), 4) if answerable.any() else None,
    }


def _citations(records: Sequence[Record]) -> dict[str, Any]:
    given = [r for r in records if r["answer"] is not None]
    cited = [c for r in given for c in r["citations"]]
    placed = [c for r in given if r["scores"] is not None for c in r["citations"] if c["recall"] is not None]
    if not cited:
        return {}
    return {
        "quotes that stand at their place": _mean([float(c["stands"]) for c in cited]),
        "answers with a citation": _mean([float(bool(r["citations"])) for r in given]),
        "span precision": _mean([c["precision"] for c in placed]),
        "span recall": _mean([c["recall"] for c in placed]),
    }


def _mean(scores: Sequence[float]) -> dict[str, float]:
    if not scores:
        return {}
    low, high = mean_interval(scores)
    return {
        "mean": round(float(np.mean(scores)), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "n": len(scores),
    }
