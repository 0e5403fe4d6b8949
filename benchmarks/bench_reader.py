"""The shipped reader on SQuAD v1.1 dev: with the gold paragraph, and over all paragraphs of train and dev.

    python benchmarks/bench_reader.py [--limit N] [--model FOLDER] [--vectors FILE]

Open: every paragraph of train and dev (title in front), the default hybrid retrieval, top_k 5. The threshold is not
applied: every question has an answer. Mixed: the same for 2,000 of the questions, a quarter of them without the
passages that hold an answer, as the calibration was fitted (on other documents); here the threshold counts.
Writes benchmarks/results/reader.json.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import pretrained
from ragqa.calibration import expected_calibration_error
from ragqa.config import Config
from ragqa.data import distinct_passages, squad
from ragqa.devices import cpu_model
from ragqa.evaluation.answers import RIGHT_F1, exact_match, f1
from ragqa.readers.extractive import ExtractiveReader
from ragqa.training.calibrating import (
    UNANSWERABLE_SHARE,
    Retrieved,
    retrieve_for,
)
from ragqa.training.retrieval import MemoryRetriever
from ragqa.types import Citation, Example, Hit

DATA = Path(os.environ.get("RAGQA_DATA", "../shared/data")) / "squad"
RESULT = Path(__file__).parent / "results" / "reader.json"
MIXED_QUESTIONS = 2000


def _holds(hit: Hit, citation: Citation) -> bool:
    return hit.passage.start <= citation.start < hit.passage.end


def score(
    reader: ExtractiveReader, asked: Sequence[Example], hits: Sequence[Sequence[Hit]]
) -> dict[str, float]:
    """Mean EM and F1 in percent, ECE, and questions a second."""
    started = time.perf_counter()
    exact, overlap, confidence = [], [], []
    answers = reader.read([example.query for example in asked], hits)
    for example, answer, mine in zip(asked, answers, hits, strict=True):
        text = answer.unrefused
        exact.append(exact_match(text, example.answers))
        overlap.append(f1(text, example.answers))
        confidence.append(answer.confidence)
        for citation in answer.citations:
            passage = next(
                h.passage for h in mine if h.passage.doc_id == citation.doc_id and _holds(h, citation)
            )
            start = citation.start - passage.start
            if passage.text[start : start + len(citation.quote)] != citation.quote:
                raise AssertionError(f"citation of {example.query.id} does not stand where it says")
    right = np.array(overlap) >= RIGHT_F1
    return {
        "questions": len(asked),
        "exact_match": round(100 * float(np.mean(exact)), 2),
        "f1": round(100 * float(np.mean(overlap)), 2),
        "ece": round(expected_calibration_error(np.array(confidence), right.astype(float)), 4),
        "mean_confidence": round(float(np.mean(confidence)), 4),
        "share_right": round(float(right.mean()), 4),
        "questions_per_second": round(len(asked) / (time.perf_counter() - started), 1),
    }


def mixed(reader: ExtractiveReader, asked: Sequence[Retrieved]) -> dict[str, float]:
    """Calibration and refusals where some questions cannot be answered; shares in percent."""
    answers = reader.read([r.example.query for r in asked], [r.hits for r in asked])
    right = [
        r.answerable and f1(a.unrefused, r.example.answers) >= RIGHT_F1
        for r, a in zip(asked, answers, strict=True)
    ]
    confidence = np.array([a.confidence for a in answers])
    refused = np.array([a.text is None for a in answers])
    answerable = np.array([r.answerable for r in asked])
    return {
        "questions": len(asked),
        "unanswerable": int((~answerable).sum()),
        "ece": round(expected_calibration_error(confidence, np.array(right, dtype=float)), 4),
        "answerable_refused": round(100 * float(refused[answerable].mean()), 1),
        "unanswerable_refused": round(100 * float(refused[~answerable].mean()), 1),
    }


def main() -> None:
    """Run the three settings and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=0, help="a seeded sample of so many questions")
    parser.add_argument("--model", default="builtin")
    parser.add_argument(
        "--vectors", type=Path, help="a .npy file that keeps the paragraphs' vectors between runs"
    )
    arguments = parser.parse_args()
    dev = squad.load(DATA / "dev-v1.1.json")
    asked = random.Random(1).sample(dev, arguments.limit) if arguments.limit else dev
    reader = ExtractiveReader(model=arguments.model)
    gold = score(reader, asked, [[Hit(e.positives[0], 1.0)] for e in asked])
    print(json.dumps({"gold paragraph": gold}), flush=True)
    config = Config()
    passages = distinct_passages([*squad.load(DATA / "train-v1.1.json"), *dev])
    kept = arguments.vectors
    vectors = np.load(kept) if kept and kept.exists() else None
    retriever = MemoryRetriever(passages, config, vectors)
    if kept and not kept.exists():
        np.save(kept, retriever.vectors)
    hits = retriever.retrieve([e.query.text for e in asked], config.top_k)
    opened: dict[str, Any] = score(reader, asked, hits)
    ranks = [[h.passage.id == e.positives[0].id for h in mine] for e, mine in zip(asked, hits, strict=True)]
    opened["recall@1"] = round(float(np.mean([r[:1] == [True] for r in ranks])), 4)
    opened["recall@5"] = round(float(np.mean([any(r) for r in ranks])), 4)
    opened["paragraphs"] = len(passages)
    print(json.dumps({"open": opened}), flush=True)
    few = random.Random(2).sample(dev, min(MIXED_QUESTIONS, len(asked)))
    taken_away = mixed(reader, retrieve_for(few, retriever, config.top_k, UNANSWERABLE_SHARE, 2))
    print(json.dumps({"mixed": taken_away}), flush=True)
    folder = pretrained.reader_folder(arguments.model)
    record = {
        "command": "python benchmarks/bench_reader.py",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "model_bytes": (folder / "model.safetensors").stat().st_size,
        "gold": gold,
        "open": opened,
        "mixed": taken_away,
    }
    if not arguments.limit and arguments.model == "builtin":
        RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
