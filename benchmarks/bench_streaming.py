"""How soon the shipped generator's answer begins and ends: the whole pipeline, one question after the other.

    python benchmarks/bench_streaming.py [--questions 50] [--top-k 5] [--out FILE]

The handbook in kb/ is indexed with the default configuration; its labelled questions are asked with
``reader.name=generative``, threads as a user has them. "first text" is the time from the question, retrieval included,
to the first characters heard; questions whose whole answer is a refusal have none. "start" is a whole process of
``ragqa ask``, interpreter to exit, after one that fills the cache of compiled models. Writes
benchmarks/results/streaming.json; the load of the machine before the run stands there, since nothing else should run.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import processes
from ragqa.config import Config
from ragqa.devices import cpu_model, threads
from ragqa.indexing import build_index
from ragqa.pipeline import Pipeline, load_pipeline

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "streaming.json"
GENERATIVE = "reader.name=generative"
STARTS = 5
BAR_SECONDS = 0.6
"""The first text, warm, with five passages on two cores."""


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        name: round(float(np.quantile(seconds, share)), 4) for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def heard(pipeline: Pipeline, question: str, top_k: int) -> tuple[float | None, float]:
    """Seconds to the first text, if there is any, and to the end."""
    began = time.perf_counter()
    pieces: list[float] = []

    def hear(piece: str) -> None:
        if piece:
            pieces.append(time.perf_counter() - began)

    pipeline.ask(question, top_k, heard=hear)
    return pieces[0] if pieces else None, time.perf_counter() - began


def starts(index: Path, question: str) -> list[float]:
    """Seconds of whole processes, the first left out."""
    command = [sys.executable, "-m", "ragqa", "ask", question, "--index", str(index), "--set", GENERATIVE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = [processes.run(command, environment, ROOT, timeout=600) for _ in range(STARTS + 1)]
    return [one.seconds for one in ended[1:]]


def main() -> None:
    """Index, ask, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--top-k", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    lines = (ROOT / "tests" / "kb_questions.jsonl").read_text(encoding="utf-8").splitlines()
    known = [record for record in map(json.loads, lines) if record["language"] == "en" and record["document"]]
    asked = [record["question"] for record in known[:: max(1, len(known) // arguments.questions)]]
    asked = asked[: arguments.questions]
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        build_index([ROOT / "kb"], index, Config())
        with load_pipeline(index, overrides=[GENERATIVE]) as pipeline:
            for question in asked[:3]:
                heard(pipeline, question, arguments.top_k)
            times = [heard(pipeline, question, arguments.top_k) for question in asked]
        begun = starts(index, asked[0])
    first = quantiles([one for one, _ in times if one is not None])
    record: dict[str, Any] = {
        "command": "python benchmarks/bench_streaming.py",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "threads": threads(),
        "load before": round(load, 2),
        "questions": len(times),
        "answers begun": sum(one is not None for one, _ in times),
        "top_k": arguments.top_k,
        "first text, s": first,
        "whole answer, s": quantiles([end for _, end in times]),
        "start, s": quantiles(begun),
        "bar, s": BAR_SECONDS,
        "within the bar": first["p95"] <= BAR_SECONDS,
    }
    print(json.dumps(record, indent=1))
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
