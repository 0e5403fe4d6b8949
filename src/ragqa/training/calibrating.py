"""Fit what a reader needs beside its weights: the retrieval weight, the calibration and the operating point.

Everything is fitted on held-out documents. For a share of the questions the passages that hold the answer are
taken away, so that the calibration also sees what "not in these documents" looks like.
"""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import calibration, durable, pretrained
from ragqa.errors import ModelError
from ragqa.evaluation.answers import RIGHT_F1, f1, is_right, occurrences
from ragqa.quoting import chosen_span, lexical_choice, span_features
from ragqa.readers.extractive import ExtractiveReader
from ragqa.spans import Reading
from ragqa.training.retrieval import Retrieves
from ragqa.types import Example, Hit

SPAN_FEATURES = ("log_probability", "null_margin", "lead", "cosine", "coverage", "fused")
LEXICAL_FEATURES = ("sentence_coverage", "coverage", "lead", "bm25")
UNANSWERABLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A question with its hits; ``answerable`` is False where the answering passages were taken away."""

    example: Example
    hits: tuple[Hit, ...]
    answerable: bool


def retrieve_for(
    examples: Sequence[Example], retriever: Retrieves, top_k: int, unanswerable_share: float, seed: int
) -> list[Retrieved]:
    """Hits of each example; for a share of them without any passage that holds an answer."""
    rng = np.random.default_rng(seed)
    away = rng.random(len(examples)) < unanswerable_share
    found = []
    for example, without, hits in zip(
        examples, away, retriever.retrieve([e.query.text for e in examples], 4 * top_k), strict=True
    ):
        own = {passage.text for passage in example.positives}
        kept = [h for h in hits if not (without and _answers(h.passage.text, own, example.answers))]
        found.append(Retrieved(example, tuple(kept[:top_k]), bool(example.answers) and not without))
    return found


def _answers(text: str, own: Set[str], answers: Sequence[str]) -> bool:
    """Whether a passage holds an answer as whole words, or is one of the question's ``own``."""
    return text in own or bool(occurrences(text, answers))


def calibrate(
    folder: Path, spans: Sequence[Retrieved], lexical: Sequence[Retrieved], max_refused: float
) -> dict[str, Any]:
    """Write ``calibration.json`` into the reader's ``folder`` and return its values.

    Args:
        spans: questions that the span model reads.
        lexical: questions in Han characters, answered by the best sentence.
        max_refused: share of answerable questions that the operating point may refuse.
    """
    try:
        pretrained.read_calibration(folder)  # stays until the new one is known; no reading depends on it
    except ModelError:
        _store(folder, 0.0, _neutral(SPAN_FEATURES), _neutral(LEXICAL_FEATURES))
    network = ExtractiveReader(model=str(folder)).network
    readings = network.readings([r.example.query for r in spans], [r.hits for r in spans])
    weight = max(calibration.RETRIEVAL_WEIGHTS, key=lambda w: _mean_f1(spans, readings, w))
    span_rows = _span_rows(spans, readings, weight)
    lexical_rows = _lexical_rows(lexical)
    return _store(
        folder,
        weight,
        _fitted(span_rows, SPAN_FEATURES, max_refused),
        _fitted(lexical_rows, LEXICAL_FEATURES, max_refused) if lexical_rows else shipped_lexical(),
    )


def keep_calibration(folder: Path, earlier: Path) -> None:
    """Give the reader in ``folder`` the calibration of the ``earlier`` one."""
    values = pretrained.read_calibration(earlier)
    _store(folder, values.retrieval_weight, values.span, values.lexical)


@dataclass(frozen=True, slots=True)
class Judged:
    """The features of one answer, whether it was right, and whether the question could be answered."""

    features: dict[str, float]
    right: bool
    answerable: bool


def shipped_lexical() -> calibration.Calibration:
    """The lexical calibration of the shipped reader, for runs without Chinese questions."""
    return pretrained.read_calibration(pretrained.reader_folder("builtin")).lexical


def _neutral(names: Sequence[str]) -> calibration.Calibration:
    return calibration.Calibration(dict.fromkeys(names, 0.0), 0.0, 0.0)


def _mean_f1(asked: Sequence[Retrieved], readings: Sequence[Reading | None], weight: float) -> float:
    rows = zip(asked, readings, strict=True)
    scores = [_span_f1(r, reading, weight) for r, reading in rows if r.answerable]
    return float(np.mean(scores))


def _span_f1(asked: Retrieved, reading: Reading | None, weight: float) -> float:
    if reading is None or not reading.spans:
        return 0.0
    best = chosen_span(reading, asked.hits, weight)
    return f1(asked.hits[best.passage].passage.text[best.start : best.end], asked.example.answers)


def _span_rows(asked: Sequence[Retrieved], readings: Sequence[Reading | None], weight: float) -> list[Judged]:
    rows = []
    for item, reading in zip(asked, readings, strict=True):
        if reading is None or not reading.spans:
            continue
        best = chosen_span(reading, item.hits, weight)
        features = span_features(item.example.query, item.hits, reading, best, weight)
        right = item.answerable and _span_f1(item, reading, weight) >= RIGHT_F1
        rows.append(Judged(features, right, item.answerable))
    return rows


def _lexical_rows(asked: Sequence[Retrieved]) -> list[Judged]:
    rows = []
    for item in asked:
        choice = lexical_choice(item.example.query, item.hits)
        if choice is None:
            continue
        text = item.hits[choice.hit].passage.text[choice.span.start : choice.span.end]
        right = item.answerable and is_right(text, item.example.answers, whole_sentence=True)
        rows.append(Judged(choice.features, right, item.answerable))
    return rows


def _fitted(rows: Sequence[Judged], names: Sequence[str], max_refused: float) -> calibration.Calibration:
    fitted = calibration.fit([r.features for r in rows], [r.right for r in rows], names=names)
    confidence = np.array([fitted.probability(r.features) for r in rows])
    answerable = np.array([r.answerable for r in rows])
    return replace(fitted, threshold=calibration.operating_point(confidence, answerable, max_refused))


def _store(
    folder: Path, weight: float, span: calibration.Calibration, lexical: calibration.Calibration
) -> dict[str, Any]:
    values = {"retrieval_weight": weight, "span": span.as_json(), "lexical": lexical.as_json()}
    with durable.whole(folder / "calibration.json") as partial:
        partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return values
