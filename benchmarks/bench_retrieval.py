"""Dense, BM25 and hybrid retrieval on SciFact, Cranfield and SQuAD, with whole documents as passages.

    python benchmarks/bench_retrieval.py [--data ../shared/data] [--vectors FOLDER] [--sets scifact cranfield squad]
                                         [--model FOLDER] [--query-model FOLDER] [--out FILE]

Writes benchmarks/results/retrieval.json. The stages are the default ones of `ragqa`; each passage is its document
with the title in front, cut at 256 tokens. ``--vectors`` keeps the passages' vectors, one folder for each ``--model``.
The weight's plateau is measured on SciFact's training queries, which nothing else here uses.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import analysis, fusion
from ragqa.config import FusionConfig
from ragqa.data import beir, squad
from ragqa.devices import cpu_model
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.evaluation.retrieval import Measure, Qrels, Run, mean, ndcg, recall, reciprocal_rank
from ragqa.indexes.bm25 import Bm25Index
from ragqa.protocols import Rows, Scores, Vectors
from ragqa.stores.faiss import FaissStore
from ragqa.types import Passage

RESULT = Path(__file__).parent / "results" / "retrieval.json"
DEEPEST = 100  # no measure looks further down
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
BEIR_MEASURES = {"ndcg@10": ndcg(10), "recall@100": recall(100), "rr@10": reciprocal_rank(10)}
SQUAD_MEASURES = {f"recall@{k}": recall(k) for k in (1, 5, 10, 20, 100)}


@dataclass(frozen=True)
class TestSet:
    """Row numbers stand for passages: ``qrels`` is query id → row → grade."""

    name: str
    passages: Sequence[Passage]
    queries: Mapping[str, str]
    qrels: Qrels
    measures: Mapping[str, Measure]
    asked_before: frozenset[str] = frozenset()
    """Rows that training queries ask for as well."""


def beir_set(folder: Path, split: str) -> TestSet:
    collection = beir.load(folder, split)
    rows = {document.id: str(row) for row, document in enumerate(collection.documents)}
    # A judged document that the corpus lacks keeps its place in the ideal ranking.
    qrels = {
        query: {rows.get(document, document): grade for document, grade in judged.items()}
        for query, judged in collection.qrels.items()
    }
    passages = [beir.whole_passage(document) for document in collection.documents]
    queries = {query.id: query.text for query in collection.queries}
    return TestSet(f"{folder.name} {split}", passages, queries, qrels, BEIR_MEASURES)


def squad_set(folder: Path) -> TestSet:
    """Dev questions over the paragraphs of train and dev; a hit is the question's own paragraph."""
    examples = [*squad.load(folder / "train-v1.1.json"), *(dev := squad.load(folder / "dev-v1.1.json"))]
    passages = {example.positives[0].id: example.positives[0] for example in examples}
    rows = {passage: str(row) for row, passage in enumerate(passages)}
    queries = {example.query.id: example.query.text for example in dev}
    qrels = {example.query.id: {rows[example.positives[0].id]: 1} for example in dev}
    return TestSet("squad dev", list(passages.values()), queries, qrels, SQUAD_MEASURES)


def sets_of(folder: Path) -> list[TestSet]:
    """SciFact's training queries are a set of their own."""
    if folder.name == "squad":
        return [squad_set(folder)]
    test = beir_set(folder, "test")
    if folder.name != "scifact":
        return [test]
    train = beir_set(folder, "train")
    return [
        train,
        replace(test, asked_before=frozenset(row for judged in train.qrels.values() for row in judged)),
    ]


def cached(path: Path | None, texts: Sequence[str], encode: Any) -> Vectors:
    if path is not None and path.is_file() and len(kept := np.load(path, allow_pickle=False)) == len(texts):
        vectors: Vectors = kept
        return vectors
    vectors = encode(texts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors, allow_pickle=False)
    return vectors


def legs_of(
    test: TestSet, encoder: SentenceTransformerEncoder, folder: Path | None
) -> tuple[list[fusion.Leg], list[fusion.Leg]]:
    """Row → score of the best candidates for each query, by vectors and by terms."""
    depth = FusionConfig().candidates
    corpus, texts = test.name.split()[0], list(test.queries.values())

    kept = folder / f"{corpus}_passages.npy" if folder else None
    store, lexical = FaissStore(), Bm25Index()
    passages = [passage.titled_text for passage in test.passages]
    store.add(cached(kept, passages, encoder.encode_passages))
    found = store.search(encoder.encode_queries(texts), depth)
    lexical.add([analysis.terms(text) for text in passages])
    matched = lexical.search([analysis.terms(text) for text in texts], depth)
    return [leg_of(*one) for one in zip(*found, strict=True)], [leg_of(*one) for one in matched]


def leg_of(scores: Scores, rows: Rows) -> fusion.Leg:
    return {row: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True) if row >= 0}


def run_of(test: TestSet, rankings: Sequence[fusion.Ranking]) -> Run:
    return {
        query: {str(row): score for row, score in ranking[:DEEPEST]}
        for query, ranking in zip(test.queries, rankings, strict=True)
    }


def measured(test: TestSet, dense: Sequence[fusion.Leg], lexical: Sequence[fusion.Leg]) -> dict[str, Any]:
    weight = FusionConfig().dense_weight
    pairs = list(zip(dense, lexical, strict=True))
    rankings = {
        "dense": [list(leg.items()) for leg in dense],
        "bm25": [list(leg.items()) for leg in lexical],
        "hybrid": [fusion.convex(d, b, weight) for d, b in pairs],
        "reciprocal_rank": [fusion.reciprocal_rank([d, b]) for d, b in pairs],
    }
    figures: dict[str, Any] = {}
    for name, ranking in rankings.items():
        run = run_of(test, ranking)
        figures[name] = {m: round(mean(measure, run, test.qrels), 4) for m, measure in test.measures.items()}
        for part, qrels in _parts(test):
            figures[name] |= {
                f"{m}, {part}": round(mean(measure, run, qrels), 4) for m, measure in test.measures.items()
            }
    first = next(iter(test.measures))
    figures[f"{first} by dense_weight"] = {
        str(w): round(
            mean(test.measures[first], run_of(test, [fusion.convex(d, b, w) for d, b in pairs]), test.qrels),
            4,
        )
        for w in WEIGHTS
    }
    return {"passages": len(test.passages), "queries": len(test.queries), **figures}


def _parts(test: TestSet) -> list[tuple[str, Qrels]]:
    """Where training queries have documents in common with the test: queries for such, and for others alone."""
    if not test.asked_before:
        return []
    known = {q for q, judged in test.qrels.items() if test.asked_before & judged.keys()}
    parts = {
        f"{len(known)} queries for documents that training asks for": known,
        f"{len(test.qrels) - len(known)} for others": test.qrels.keys() - known,
    }
    return [(name, {q: test.qrels[q] for q in queries}) for name, queries in parts.items()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=None)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--sets", nargs="*", default=["scifact", "cranfield", "squad"])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--query-model", default=None)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    encoder = SentenceTransformerEncoder(
        model=arguments.model,
        query_model=arguments.query_model,
        precision=arguments.precision,
        truncate=True,
    )
    results: dict[str, Any] = {}
    for name in arguments.sets:
        for test in sets_of(arguments.data / name):
            results[test.name] = measured(test, *legs_of(test, encoder, arguments.vectors))
            print(f"{test.name}: {json.dumps(results[test.name])}", file=sys.stderr)
    report = {
        "command": " ".join(["python", *sys.argv]),
        "cpu": cpu_model(),
        "encoder": encoder.fingerprint,
        "query_model": arguments.query_model,
        "fusion": FusionConfig().model_dump(),
        "results": results,
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
