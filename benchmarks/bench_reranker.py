"""The hybrid's first hits reordered by a reranker, on SQuAD, SciFact and Cranfield, and what the reader makes of them.

    python benchmarks/bench_reranker.py [--model FOLDER] [--vectors FOLDER] [--sets squad scifact cranfield] [--limit N]

Passages, queries and first hits are those of bench_retrieval.py; the reranker reads 20 of them. On SQuAD the shipped
reader then reads the best five, with the reranker and without; the threshold is not applied. The time is that of
20 passages of one question, one question after the other, in the float type that ``auto`` takes on this CPU and in
int8. Writes benchmarks/results/reranker.json.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench_retrieval import TestSet, legs_of, sets_of
from ragqa import fusion
from ragqa.config import Config
from ragqa.data import squad
from ragqa.devices import cpu_model
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.evaluation.answers import exact_match, f1
from ragqa.evaluation.retrieval import Run, mean
from ragqa.readers.extractive import ExtractiveReader
from ragqa.rerankers.cross_encoder import CrossEncoderReranker
from ragqa.types import Hit, Query

RESULT = Path(__file__).parent / "results" / "reranker.json"
KEPT = 100
"""Hits that are kept of each query: no measure looks further down."""

TIMED = 100
AT_ONCE = 200


def first_hits(test: TestSet, encoder: SentenceTransformerEncoder, vectors: Path | None) -> list[list[Hit]]:
    """What the default hybrid finds for each query."""
    dense, lexical = legs_of(test, encoder, vectors)
    weight = Config().fusion.dense_weight
    ranked = [fusion.convex(d, b, weight)[:KEPT] for d, b in zip(dense, lexical, strict=True)]
    return [[Hit(test.passages[row], score) for row, score in one] for one in ranked]


def measured(test: TestSet, names: Sequence[str], hits: Sequence[Sequence[Hit]]) -> dict[str, float]:
    """Each measure of the set, over the queries ``names``."""
    rows = {passage.id: str(row) for row, passage in enumerate(test.passages)}
    # By place: hits of equal score keep the order that they are shown in.
    run: Run = {
        name: {rows[hit.passage.id]: -float(place) for place, hit in enumerate(mine)}
        for name, mine in zip(names, hits, strict=True)
    }
    judged = {name: test.qrels[name] for name in names if name in test.qrels}
    return {name: round(mean(measure, run, judged), 4) for name, measure in test.measures.items()}


def answered(
    reader: ExtractiveReader,
    queries: Sequence[Query],
    hits: Sequence[Sequence[Hit]],
    gold: Sequence[Sequence[str]],
) -> dict[str, float]:
    """EM and F1 in percent of what the reader finds in the first hits."""
    answers = reader.read(queries, [mine[: Config().top_k] for mine in hits])
    texts = [answer.unrefused for answer in answers]
    scores = [(exact_match(t, g), f1(t, g)) for t, g in zip(texts, gold, strict=True)]
    exact, overlap = np.mean(scores, axis=0)
    return {"exact_match": round(100 * float(exact), 2), "f1": round(100 * float(overlap), 2)}


def milliseconds(
    reranker: CrossEncoderReranker, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]
) -> dict[str, float]:
    """p50 and p95 of one query's candidates, after ten queries that warm up."""
    taken = []
    for query, mine in list(zip(queries, hits, strict=True))[: TIMED + 10]:
        started = time.perf_counter()
        reranker.rerank([query], [mine])
        taken.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(taken[10:], [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def all_reranked(
    reranker: CrossEncoderReranker, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]
) -> list[list[Hit]]:
    """The hits of every query in their new order."""
    found: list[list[Hit]] = []
    for at in range(0, len(queries), AT_ONCE):
        found += reranker.rerank(queries[at : at + AT_ONCE], hits[at : at + AT_ONCE])
    return found


def main() -> None:
    """Rerank every set and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--weight", type=float, default=None)
    parser.add_argument("--reader", default="builtin")
    parser.add_argument("--vectors", type=Path, default=None)
    parser.add_argument("--sets", nargs="*", default=["squad", "scifact", "cranfield"])
    parser.add_argument("--limit", type=int, default=0, help="a seeded sample of so many questions of SQuAD")
    parser.add_argument("--out", type=Path, help="write the result there, a sample's, too")
    arguments = parser.parse_args()
    encoder = SentenceTransformerEncoder(truncate=True)
    reranker, in_int8 = (
        CrossEncoderReranker(
            model=arguments.model, weight=arguments.weight, precision=precision, device=device
        )
        for precision, device in (("auto", "auto"), ("int8", "cpu"))
    )
    results: dict[str, Any] = {}
    tests = [sets_of(arguments.data / name)[-1] for name in arguments.sets]
    for test in tests:
        names, hits = list(test.queries), first_hits(test, encoder, arguments.vectors)
        is_squad = test.name.startswith("squad")
        if is_squad and arguments.limit:
            chosen = sorted(random.Random(1).sample(range(len(names)), arguments.limit))
            names, hits = [names[row] for row in chosen], [hits[row] for row in chosen]
        queries = [Query(test.queries[name], id=name) for name in names]
        found: dict[str, Any] = {"queries": len(names), "hybrid": measured(test, names, hits)}
        found["milliseconds"] = milliseconds(reranker, queries, hits)
        found["milliseconds in int8"] = milliseconds(in_int8, queries, hits)
        reranked = all_reranked(reranker, queries, hits)
        found["reranked"] = measured(test, names, reranked)
        found["reranked in int8"] = measured(test, names, all_reranked(in_int8, queries, hits))
        print(f"{test.name}: {json.dumps(found)}", file=sys.stderr, flush=True)
        if is_squad:
            reader = ExtractiveReader(model=arguments.reader)
            accepted = {e.query.id: e.answers for e in squad.load(arguments.data / "squad/dev-v1.1.json")}
            gold = [accepted[name] for name in names]
            found["read"] = {
                "hybrid": answered(reader, queries, hits, gold),
                "reranked": answered(reader, queries, reranked, gold),
            }
            print(json.dumps(found["read"]), file=sys.stderr, flush=True)
        results[test.name] = found
    report = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "candidates": reranker.candidates,
        "weight": reranker.mixture.weight,
        "spread": reranker.mixture.spread,
        "results": results,
    }
    whole = not arguments.limit and arguments.model == "builtin"
    if out := arguments.out or (RESULT if whole else None):
        out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
