"""Passages per second of the encoder beside sentence-transformers' `encode`, with nDCG@10, on Cranfield.

    python benchmarks/bench_encode.py [--limit 1400] [--rounds 3] [--out benchmarks/results/encode.json]

Everything runs in one process on the same threads; the rounds go through all systems in turn, so that a slow
moment of the machine meets each of them, and the median round counts. nDCG@10 is that of exact search.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import ir_measures
import numpy as np
import numpy.typing as npt

from ragqa import devices
from ragqa.backbone import builtin_path
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.errors import ConfigError

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data")) / "cranfield"
PEER = "sentence-transformers"
BARS = {"bf16": (4.0, 0.002), "int8": (6.0, 0.003)}
"""Precision → least ratio of passages/s, greatest difference of nDCG@10."""

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]


def records(name: str) -> list[dict[str, str]]:
    """The lines of a BEIR file."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def systems() -> dict[str, tuple[Encode, Encode]]:
    """Name → how it encodes passages and queries."""
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(builtin_path()), device="cpu")

    def encode(texts: Sequence[str]) -> Floats:
        found: Floats = peer.encode(list(texts), batch_size=32)
        return found

    found: dict[str, tuple[Encode, Encode]] = {PEER: (encode, encode)}
    for precision in ("f32", "bf16", "int8"):
        try:
            ours = SentenceTransformerEncoder(precision=precision, device="cpu", truncate=True)
        except ConfigError as refusal:
            print(f"{precision}: {refusal}", file=sys.stderr)
        else:
            found[precision] = (ours.encode_passages, ours.encode_queries)
    return found


def ndcg(passages: Floats, ids: Sequence[str], queries: Floats, query_ids: Sequence[str]) -> float:
    """nDCG@10 of exact search over the passages that were encoded."""
    known = set(ids)
    lines = (DATA / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    qrels = [ir_measures.Qrel(q, d, int(n)) for q, d, n in map(str.split, lines) if d in known]
    run = [
        ir_measures.ScoredDoc(query_id, ids[row], float(scores[row]))
        for query_id, scores in zip(query_ids, queries @ passages.T, strict=True)
        for row in np.argsort(-scores, kind="stable")[:10]
    ]
    return float(ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10])


def measure(limit: int, rounds: int) -> dict[str, dict[str, float]]:
    """For each system passages/s, its ratio to the peer, nDCG@10 and the least cosine to the peer."""
    corpus, queries = records("corpus.jsonl")[:limit], records("queries.jsonl")
    texts = [f"{record['title']} {record['text']}".strip() for record in corpus]
    candidates = systems()
    for passages, _ in candidates.values():
        passages(texts[:64])  # loads the model, and compiles it for bulk work
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    vectors: dict[str, Floats] = {}
    for _ in range(rounds):
        for name, (passages, _) in candidates.items():
            start = time.perf_counter()
            vectors[name] = passages(texts)
            seconds[name].append(time.perf_counter() - start)
            print(f"{name:24}{len(texts) / seconds[name][-1]:8.1f} passages/s", file=sys.stderr)
    ids, query_ids = [r["_id"] for r in corpus], [r["_id"] for r in queries]
    asked = [record["text"] for record in queries]
    fastest = {name: len(texts) / statistics.median(times) for name, times in seconds.items()}
    return {
        name: {
            "passages_per_second": round(fastest[name], 1),
            "ratio": round(fastest[name] / fastest[PEER], 2),
            "ndcg_at_10": round(ndcg(vectors[name], ids, encode(asked), query_ids), 4),
            "least_cosine": round(float((vectors[name] * vectors[PEER]).sum(axis=1).min()), 6),
        }
        for name, (_, encode) in candidates.items()
    }


def verdicts(rows: dict[str, dict[str, float]]) -> dict[str, bool]:
    """Whether each precision with a bar meets it."""
    peer = rows[PEER]["ndcg_at_10"]
    return {
        name: rows[name]["ratio"] >= ratio and abs(rows[name]["ndcg_at_10"] - peer) <= difference
        for name, (ratio, difference) in BARS.items()
        if name in rows
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, default=1400, help="passages to encode")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "encode.json")
    options = parser.parse_args()
    rows = measure(options.limit, options.rounds)
    packages = ("openvino", "nncf", "torch", "transformers", "sentence-transformers", "tokenizers")
    report = {
        "command": " ".join(["python", "benchmarks/bench_encode.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": devices.cpu_model(),
        "threads": devices.threads(),
        "load_average": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "passages": options.limit,
        "systems": rows,
        "bars_met": verdicts(rows),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"systems": rows, "bars_met": report["bars_met"]}, indent=1))


if __name__ == "__main__":
    main()
