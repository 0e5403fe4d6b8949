"""ragqa beside sentence-transformers + FAISS, LangChain, LlamaIndex, txtai and Haystack, in one run.

    python benchmarks/bench_peers.py [--data cranfield|scifact] [--limit N] [--systems NAME …] [--rounds 3]

The same documents (whole, title in front, cut at 256 tokens), the same model (all-MiniLM-L6-v2) and the same
questions; every figure from a fresh process with the same number of threads and nothing online. The peers live in
an environment of their own, benchmarks/.peers-venv, which the first run makes. Rounds go through all systems in
turn, so that a slow moment of the machine meets each of them; medians count.

Indexing starts with the documents on disk and ends with the saved index; the peers' models are loaded before its
clock starts, ragqa's within. A cold question is a whole process: start, imports, opening the index, one search.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peers_venv
import processes
from ragqa import devices
from ragqa.data import beir
from ragqa.evaluation.retrieval import mean, ndcg

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data"))
OURS = ("ragqa", "ragqa-int8", "ragqa-dense")
PEERS = ("sentence_transformers", "langchain", "llama_index", "txtai", "haystack")


class SystemFailed(Exception):
    """A system that could not be installed or measured; the others go on."""


@dataclass
class Measured:
    """What the rounds of one system gave."""

    builds: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    build_mb: list[float] = field(default_factory=list)
    colds: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    search_mb: list[float] = field(default_factory=list)
    run: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failed: str = ""


def write_job(folder: Path, collection: beir.Collection) -> None:
    """The files that every worker reads."""
    (folder / "documents").mkdir()
    (folder / "indexes").mkdir()
    documents = [{"_id": d.id, "title": d.title, "text": d.text} for d in collection.documents]
    queries = [{"_id": q.id, "text": q.text} for q in collection.queries]
    for path, records in (
        (folder / "documents" / "corpus.jsonl", documents),
        (folder / "queries.jsonl", queries),
    ):
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def load_collection(name: str, limit: int | None) -> beir.Collection:
    """The data set; with ``limit`` its first documents, and the judgements and queries that concern them.

    Documents without any text (two of Cranfield's) are left out for everybody.
    """
    full = beir.load(DATA / name)
    documents = tuple(d for d in full.documents if f"{d.title}{d.text}".strip())[:limit]
    if limit is None:
        return beir.Collection(documents, full.queries, full.qrels)
    known = {document.id for document in documents}
    judged = {query: {d: g for d, g in grades.items() if d in known} for query, grades in full.qrels.items()}
    qrels = {query: grades for query, grades in judged.items() if any(grades.values())}
    return beir.Collection(documents, tuple(q for q in full.queries if q.id in qrels), qrels)


def work(step: str, system: str, job: Path, threads: int) -> tuple[processes.Finished, dict[str, Any]]:
    """One step of one system in a fresh process.

    Raises:
        SystemFailed: it ended with an error, took over an hour, or printed no figures.
    """
    python = sys.executable if system in OURS else str(peers_venv.PYTHON)
    environment = processes.environment(threads)
    if system in OURS:
        environment["PYTHONPATH"] = str(ROOT / "src")
    try:
        ended = processes.run([python, "-m", "peers.worker", step, system, str(job)], environment, HERE)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise SystemFailed(f"{step}: {fault}") from fault
    if ended.returncode:
        raise SystemFailed(f"{step}: {ended.reason}")
    try:
        figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError) as fault:
        raise SystemFailed(f"{step}: no figures in what it printed") from fault
    return ended, figures


def measure_round(system: str, job: Path, threads: int, into: Measured) -> None:
    """Index, ask cold, ask everything warm."""
    shutil.rmtree(job / "indexes" / system, ignore_errors=True)
    ended, figures = work("build", system, job, threads)
    into.builds.append(figures["build_seconds"])
    into.loads.append(figures["load_seconds"])
    into.build_mb.append(ended.peak_mb)
    into.colds.append(work("cold", system, job, threads)[0].seconds)
    ended, figures = work("warm", system, job, threads)
    into.milliseconds += figures["milliseconds"]
    into.search_mb.append(ended.peak_mb)
    into.run = figures["run"]


def measure(systems: Sequence[str], job: Path, threads: int, rounds: int) -> dict[str, Measured]:
    """All rounds; a round before them fills the file cache and ragqa's cache of compiled models."""
    measured = {system: Measured() for system in systems}
    for round_ in range(rounds + 1):
        for system, found in measured.items():
            if found.failed:
                continue
            try:
                measure_round(system, job, threads, Measured() if round_ == 0 else found)
            except SystemFailed as fault:
                found.failed = str(fault)
                print(f"{system}: {fault}", file=sys.stderr)
            else:
                print(f"round {round_} of {rounds}: {system}", file=sys.stderr)
    return measured


def figures_of(measured: Measured, collection: beir.Collection) -> dict[str, Any]:
    """One row of the table; memory in MiB, the median of the rounds."""
    if measured.failed:
        return {"failed": measured.failed}
    twentieths = statistics.quantiles(measured.milliseconds, n=20, method="inclusive")
    return {
        "documents_per_second": round(len(collection.documents) / statistics.median(measured.builds), 1),
        "load_seconds": round(statistics.median(measured.loads), 2),
        "cold_question_seconds": round(statistics.median(measured.colds), 2),
        "warm_p50_ms": round(statistics.median(measured.milliseconds), 2),
        "warm_p95_ms": round(twentieths[18], 2),
        "index_peak_mb": round(statistics.median(measured.build_mb)),
        "search_peak_mb": round(statistics.median(measured.search_mb)),
        "ndcg_at_10": round(mean(ndcg(10), measured.run, collection.qrels), 4),
    }


def ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How often faster ragqa is than each peer: documents/s, cold and warm question time."""
    ours = rows.get("ragqa", {})
    if "failed" in ours or not ours:
        return {}
    return {
        peer: {
            "indexing": round(ours["documents_per_second"] / row["documents_per_second"], 2),
            "cold_question": round(row["cold_question_seconds"] / ours["cold_question_seconds"], 2),
            "warm_question": round(row["warm_p50_ms"] / ours["warm_p50_ms"], 2),
        }
        for peer, row in rows.items()
        if peer not in OURS and "failed" not in row
    }


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows for a terminal."""
    columns = (
        ("documents_per_second", "documents/s"),
        ("cold_question_seconds", "cold s"),
        ("warm_p50_ms", "p50 ms"),
        ("warm_p95_ms", "p95 ms"),
        ("index_peak_mb", "index MiB"),
        ("search_peak_mb", "search MiB"),
        ("ndcg_at_10", "nDCG@10"),
    )
    lines = [f"{'':22}" + "".join(f"{head:>12}" for _, head in columns)]
    for system, row in rows.items():
        cells = (
            "".join(f"{row[key]:>12}" for key, _ in columns) if "failed" not in row else f"  {row['failed']}"
        )
        lines.append(f"{system:22}{cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=("cranfield", "scifact"), default="cranfield")
    parser.add_argument("--limit", type=int, default=None, help="only the first documents")
    parser.add_argument("--systems", nargs="*", choices=(*OURS, *PEERS), default=(*OURS, *PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers.json")
    options = parser.parse_args()
    missing = peers_venv.install() if set(options.systems) & set(PEERS) else ""
    if missing:
        print(missing, file=sys.stderr)
    collection = load_collection(options.data, options.limit)
    with tempfile.TemporaryDirectory(prefix="ragqa-peers-") as folder:
        write_job(Path(folder), collection)
        measured = measure(options.systems, Path(folder), options.threads, options.rounds)
    rows = {system: figures_of(found, collection) for system, found in measured.items()}
    report = {
        "command": " ".join(["python", "benchmarks/bench_peers.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": devices.cpu_model(),
        "threads": options.threads,
        "load_average": os.getloadavg()[0],
        "versions": peers_venv.versions(),
        "data": options.data,
        "documents": len(collection.documents),
        "queries": len(collection.queries),
        "rounds": options.rounds,
        **({"not_installed": missing} if missing else {}),
        "systems": rows,
        "ragqa_is_faster_by": ratios(rows),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
