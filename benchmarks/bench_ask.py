"""How long `ragqa ask` takes and how much memory it has over an index of 100,000 passages, and what building took.

    python benchmarks/bench_ask.py [--passages 100000] [--folder runs/bench_ask] [--questions 200] [--threads 2]

The passages are SQuAD's paragraphs and recombinations of their sentences (benchmarks/passages.py), indexed by
`ragqa index` with the default configuration. The index stays in ``--folder``: a second run with the same number of
passages builds nothing and repeats the figures of building, which carry their own date. Every time is a median of
five fresh processes after one that fills the cache of compiled models, unless it says p50 or p95.
"""

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import passages
import processes
from ragqa import devices

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data"))
RAGQA = Path(sys.executable).with_name("ragqa")
ROUNDS = 5
NOT_IN_THESE_DOCUMENTS = 3
BARS = {
    "help_seconds": 0.3,
    "cold_ask_seconds": 2.0,
    "warm_ask_p50_ms": 150.0,
    "ask_peak_mb": 1024.0,
    "open_and_first_search_seconds": 0.5,
    "warm_search_p50_ms": 15.0,
    "index_peak_mb": 2048.0,
}
"""Figure → what it must stay under."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def run(
    *command: str | Path, threads: int, timeout: float = 3600, allowed: tuple[int, ...] = (0,)
) -> processes.Finished:
    """A process that must succeed.

    Raises:
        SystemExit: it did not; with its last words.
    """
    environment = {**processes.environment(threads), "PYTHONPATH": str(ROOT / "src")}
    words = [str(word) for word in command]
    ended = processes.run(words, environment, ROOT, timeout=timeout)
    if ended.returncode not in allowed:
        raise SystemExit(f"{' '.join(words)}: {ended.reason}")
    return ended


def built(folder: Path, count: int, threads: int) -> dict[str, Any]:
    """Figures of building FOLDER/index over ``count`` documents; made now unless the folder has them."""
    note = folder / "build.json"
    if note.is_file() and (known := json.loads(note.read_text(encoding="utf-8")))["documents"] == count:
        return dict(known)
    shutil.rmtree(folder, ignore_errors=True)
    passages.write(folder / "documents", DATA, count)
    (folder / "questions.json").write_text(json.dumps(passages.questions(DATA, 1000)), encoding="utf-8")
    warm_up(folder / "first", threads)
    print(f"indexing {count:,} documents", file=sys.stderr)
    ended = run(
        RAGQA, "index", folder / "documents", "--index", folder / "index", threads=threads, timeout=14400
    )
    figures = {
        "documents": count,
        "date": now(),
        "index_seconds": round(ended.seconds, 1),
        "index_peak_mb": round(ended.peak_mb),
        "summary": ended.stderr.strip().splitlines()[-1],
    }
    note.write_text(json.dumps(figures), encoding="utf-8")
    return figures


def warm_up(folder: Path, threads: int) -> None:
    """Index one line, so that the encoder is compiled and cached before anything is measured."""
    (folder / "documents").mkdir(parents=True)
    (folder / "documents" / "first.txt").write_text("The first document of all.\n", encoding="utf-8")
    run(RAGQA, "index", folder / "documents", "--index", folder / "index", threads=threads)


def forget(folder: Path) -> None:
    """Ask the kernel to drop the files of ``folder`` from memory, as after a restart."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def help_seconds(threads: int) -> float:
    times = [run(RAGQA, "--help", threads=threads).seconds for _ in range(ROUNDS + 1)]
    return round(statistics.median(times[1:]), 3)


def cold_asks(index: Path, question: str, threads: int) -> dict[str, float]:
    """Whole processes of `ragqa ask`."""
    allowed = (0, NOT_IN_THESE_DOCUMENTS)
    runs = [
        run(RAGQA, "ask", question, "--index", index, "--top-k", "5", threads=threads, allowed=allowed)
        for _ in range(ROUNDS + 1)
    ][1:]
    return {
        "cold_ask_seconds": round(statistics.median(ended.seconds for ended in runs), 3),
        "cold_ask_peak_mb": round(max(ended.peak_mb for ended in runs)),
    }


def openings(folder: Path, threads: int) -> dict[str, float]:
    """Opening the index and searching it once in a new process; also with its files not in the kernel's memory."""

    def once(cached: bool) -> dict[str, float]:
        if not cached:
            forget(folder / "index")
        command = (
            sys.executable,
            HERE / "ask_worker.py",
            "open",
            folder / "index",
            folder / "questions.json",
        )
        seconds: dict[str, float] = json.loads(run(*command, threads=threads).stdout)
        return seconds

    def median(runs: list[dict[str, float]], *stages: str) -> float:
        return round(statistics.median(sum(seconds[stage] for stage in stages) for seconds in runs), 3)

    warm = [once(cached=True) for _ in range(ROUNDS + 1)][1:]
    fresh = [once(cached=False) for _ in range(ROUNDS)]
    return {
        "import_seconds": median(warm, "import"),
        "open_seconds": median(warm, "open"),
        "first_search_seconds": median(warm, "search"),
        "open_and_first_search_seconds": median(warm, "open", "search"),
        "open_and_first_search_from_disk_seconds": median(fresh, "open", "search"),
    }


def warm_asks(folder: Path, count: int, threads: int) -> dict[str, Any]:
    """Many questions in one process: p50, p95, memory and the mean of each stage."""
    asked = folder / "asked.json"
    questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    asked.write_text(json.dumps(questions[:: max(1, len(questions) // count)][:count]), encoding="utf-8")
    ended = run(sys.executable, HERE / "ask_worker.py", "ask", folder / "index", asked, threads=threads)
    figures = json.loads(ended.stdout)
    shares = {
        name: {f"warm_{name}_p50_ms": quantile(times, 50), f"warm_{name}_p95_ms": quantile(times, 95)}
        for name, times in (("search", figures["search_ms"]), ("ask", figures["ask_ms"]))
    }
    return {
        "questions": len(figures["ask_ms"]),
        "answered": figures["answered"],
        **shares["search"],
        **shares["ask"],
        "ask_peak_mb": round(ended.peak_mb),
        "stage_seconds": {name: round(seconds, 3) for name, seconds in figures["stage_seconds"].items()},
    }


def quantile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def verdicts(figures: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each figure stays under its bar."""
    return {name: figures[name] < bar for name, bar in BARS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "bench_ask")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "ask.json")
    options = parser.parse_args()
    folder = options.folder.absolute()
    building = built(folder, options.passages, options.threads)
    question = json.loads((folder / "questions.json").read_text(encoding="utf-8"))[0]
    figures = {
        "help_seconds": help_seconds(options.threads),
        **cold_asks(folder / "index", question, options.threads),
        **openings(folder, options.threads),
        **warm_asks(folder, options.questions, options.threads),
        "index_seconds": building["index_seconds"],
        "index_peak_mb": building["index_peak_mb"],
    }
    report = {
        "command": " ".join(["python", "benchmarks/bench_ask.py", *sys.argv[1:]]),
        "date": now(),
        "cpu": devices.cpu_model(),
        "threads": options.threads,
        "load_average": os.getloadavg()[0],
        "versions": {
            name: importlib.metadata.version(name) for name in ("ragqa", "openvino", "faiss-cpu", "bm25s")
        },
        "passages": options.passages,
        "built": building,
        "figures": figures,
        "bars": BARS,
        "bars_met": verdicts(figures),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"figures": figures, "bars_met": report["bars_met"]}, indent=1))


if __name__ == "__main__":
    main()
