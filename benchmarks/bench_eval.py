"""The stored table of `ragqa eval`: our own questions, SciFact, Cranfield, SQuAD, CMRC, DRCD, CommonsenseQA, RACE.

    python benchmarks/bench_eval.py [--sets kb squad …] [--systems hybrid …] [--limit N] [--work FOLDER]
                                    [--set KEY=VALUE …]

Each row is indexed and evaluated by processes of its own, as a user would with `ragqa index` and `ragqa eval`, so that
its memory is its own; rows go one by one into benchmarks/results/eval.json beside those that stand there, and into the
README. ``--work`` keeps indexes and records: a killed run goes on where it was. With ``--limit`` or ``--set`` rows are
printed only.

Benchmark passages are whole (an abstract, a paragraph), the project's handbook is split as usual. ``--systems`` are
those of `ragqa eval baselines`, or "own passage" (`ragqa eval --own-passage`): SQuAD gold, SQuAD v2 and RACE read the
passage that the question comes with, CommonsenseQA has none and is asked without retrieval, all others go through the
hybrid.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragqa.cli.evaluate_variants import BASELINES, NO_RETRIEVAL, settings_of_baseline
from ragqa.data import distinct_passages, race, squad
from ragqa.devices import cpu_model, threads
from ragqa.evaluating import OWN, TIMES, evaluate, write_report
from ragqa.evaluation.answers import holds
from ragqa.evaluation_folder import RECORDS
from ragqa.indexing import remembered_config
from ragqa.pipeline import load_pipeline
from ragqa.types import Passage

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data"))
RESULT = Path(__file__).parent / "results" / "eval.json"
README = ROOT / "README.md"
WHOLE = ("splitter=whole", "encoder.truncate=true")
CHOOSING = ("reader=multiple_choice",)
HYBRID = "hybrid"
RETRIEVAL = ("recall@1", "recall@5", "nDCG@10")
CONFIDENCE = ("expected calibration error", "coverage at 10% risk", "answered", "no-answer recall")
STAGES = ("encode", "dense", "bm25", "fuse", "rerank")
"""What the retrieval does for a question, before the reader."""

COLUMNS: Mapping[str, tuple[str, int]] = {
    "recall@5": ("recall@5", 3),
    "nDCG@10": ("nDCG@10", 3),
    "EM": ("exact match before the threshold", 3),
    "F1": ("F1 before the threshold", 3),
    "F1, refused ones 0": ("F1", 3),
    "holds the answer": ("holds the answer", 3),
    "accuracy": ("accuracy", 3),
    "ECE": ("expected calibration error", 3),
    "answered at 10 % risk": ("coverage at 10% risk", 3),
    "retrieval, questions/s": ("retrieval questions a second", 0),
    "minutes": ("minutes", 1),
    "MB": ("peak memory in MB", 0),
}
"""Column of the README's table → figure of a row, decimals."""

BEGIN, END = "<!-- eval.json -->\n", "<!-- end of eval.json -->\n"


@dataclass(frozen=True, slots=True)
class Set:
    """What is indexed for a row, its questions, and how it is asked if ``--systems`` does not say otherwise.

    Attributes:
        documents: a scratch folder → files or folders to index, and the questions.
        indexing, asking: settings of the index, and what is set on top of it for asking.
    """

    title: str
    documents: Callable[[Path], tuple[list[Path], Path]]
    indexing: Sequence[str] = WHOLE
    asking: Sequence[str] = ()
    system: str = HYBRID


def paragraphs(folder: Path, passages: Iterable[Passage]) -> list[Path]:
    """The passages as documents: one file of JSON Lines."""
    path = folder / "paragraphs.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, passage in enumerate(passages):
            record = {"_id": str(number), "title": passage.title, "text": passage.text}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return [path]


def left_out(fault: Exception) -> None:
    """Name a question that cannot be judged, as `ragqa eval` does."""
    print(f"left out: {fault}", file=sys.stderr)


def handbook(questions: Path) -> Callable[[Path], tuple[list[Path], Path]]:
    return lambda folder: ([ROOT / "kb"], questions)


def beir(name: str) -> Callable[[Path], tuple[list[Path], Path]]:
    return lambda folder: ([DATA / name / "corpus.jsonl"], DATA / name)


def in_squads_form(*files: str) -> Callable[[Path], tuple[list[Path], Path]]:
    """The paragraphs of all files, the questions of the last one."""
    paths = [DATA / file for file in files]
    return lambda folder: (
        paragraphs(folder, distinct_passages([e for path in paths for e in squad.load(path, left_out)])),
        paths[-1],
    )


def race_test(folder: Path) -> tuple[list[Path], Path]:
    """The articles and questions of RACE's test part, for research only; nothing that ships was trained on RACE."""
    test = folder / "RACE" / "test"
    if not test.is_dir():
        with tarfile.open(DATA / "race" / "race.tgz") as archive:
            members = [m for m in archive if m.name.startswith("RACE/test/")]
            archive.extractall(folder, members, filter="data")
    return paragraphs(folder, distinct_passages(race.load(test))), test


SETS: Mapping[str, Set] = {
    "kb": Set("own questions over `kb/`", handbook(ROOT / "tests" / "kb_questions.jsonl"), indexing=()),
    "scifact": Set("SciFact test", beir("scifact")),
    "cranfield": Set("Cranfield", beir("cranfield")),
    "squad": Set(
        "SQuAD v1.1 dev, open: all 20,963 paragraphs",
        in_squads_form("squad/train-v1.1.json", "squad/dev-v1.1.json"),
    ),
    "squad_gold": Set("SQuAD v1.1 dev, gold paragraph", in_squads_form("squad/dev-v1.1.json"), system=OWN),
    "squad_v2": Set(
        "SQuAD v2 dev, 18 of its articles, own paragraph",
        in_squads_form("squad/dev-v2.0-part.json"),
        system=OWN,
    ),
    "cmrc": Set("CMRC 2018 dev, open", in_squads_form("cmrc2018/dev.json")),
    "drcd": Set("DRCD dev, open", in_squads_form("drcd/dev.json")),
    "commonsenseqa": Set(
        "CommonsenseQA dev, no passage",
        # No document answers these; with a retrieval the handbook stands in for documents that say nothing of them.
        handbook(DATA / "commonsenseqa" / "dev_rand_split.jsonl"),
        indexing=(),
        asking=CHOOSING,
        system=NO_RETRIEVAL,
    ),
    "race": Set("RACE test, own article", race_test, asking=CHOOSING, system=OWN),
}


def holding(place: Path) -> dict[str, float]:
    """The share of questions whose answer, whatever the threshold, holds a gold one, as whole sentences do."""
    records = map(json.loads, (place / RECORDS).read_text(encoding="utf-8").splitlines())
    found = [holds(r["candidate"], r["gold"]) for r in records if r.get("gold") and "options" not in r]
    return {"holds the answer": round(sum(found) / len(found), 4)} if any(found) else {}


def figures(scores: Mapping[str, Any], times: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a system that are kept, means only."""
    last = list(scores["retrieval"].values())[-1] if scores["retrieval"] else {}
    found = {name: last[name]["mean"] for name in RETRIEVAL if name in last}
    found |= {name: value["mean"] for name, value in scores["answers"].items() if value}
    sure = {name: scores["confidence"].get(name) for name in CONFIDENCE}
    found |= {name: round(value, 4) for name, value in sure.items() if value is not None}
    retrieving = sum(times["stages"].get(stage, 0.0) for stage in STAGES)
    if "dense" in times["stages"]:
        found["retrieval questions a second"] = round(times["questions"] / retrieving, 1)
    return {"questions": scores["questions"], **found}


def indexed(name: str, folder: Path) -> tuple[Path, Path, float]:
    """The index of a set, its questions, and the seconds that the index took, maybe in an earlier run."""
    paths, questions = SETS[name].documents(folder)
    index, taken = folder / "index", folder / "indexing_seconds.txt"
    if (index / "CURRENT").exists() and taken.exists():
        return index, questions, float(taken.read_text())
    settings = [word for setting in SETS[name].indexing for word in ("--set", setting)]
    started = time.perf_counter()
    words = ["index", *map(str, paths), "--index", str(index), *settings]
    subprocess.run([sys.executable, "-m", "ragqa", *words], check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - started
    taken.write_text(f"{seconds:.1f}")
    return index, questions, seconds


def row(name: str, system: str, work: Path, limit: int | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Evaluate one system on one set in this process."""
    index, questions, indexing = indexed(name, work / name)
    config = remembered_config(index, [*SETS[name].asking, *overrides])
    settings = () if system == OWN else settings_of_baseline(system, config)
    words = [system, *overrides, str(limit or "all")]
    place = (
        work / name / "_".join(word.replace(", ", "_").replace(" ", "_").replace("/", "-") for word in words)
    )
    started = time.perf_counter()
    with load_pipeline(index, overrides=[*SETS[name].asking, *settings, *overrides]) as pipeline:
        done = evaluate(
            pipeline,
            questions,
            place,
            limit=limit,
            own_passage=system == OWN,
            on_bad=left_out,
        )
    write_report(done, f"{name}, {system}")
    times = json.loads((place / TIMES).read_text(encoding="utf-8"))
    whole = times["questions"] == done.scores["questions"]["asked"]
    seconds = times["seconds"] if whole else time.perf_counter() - started
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": threads(),
        "command": command(name, system),
        "indexing seconds": round(indexing, 1),
        "seconds": round(seconds, 1),
        "minutes": round(seconds / 60, 2),
        "in one go": whole,
        "peak memory in MB": times["peak memory in MB"],
        "one by one": times["one by one"],
        "stages": times["stages"],
        **figures(done.scores, times),
        **holding(place),
    }


def command(name: str, system: str) -> str:
    chosen = "" if system == SETS[name].system else f" --systems '{system}'"
    return f"python benchmarks/bench_eval.py --sets {name}{chosen}"


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The rows of the file as Markdown, in the order of the sets; a column that nothing fills is left out."""
    rows = [
        (name, system, results[name][system])
        for name in SETS
        for system in sorted(results.get(name, {}), key=lambda system: system != SETS[name].system)
    ]
    columns = {
        title: (key, decimals)
        for title, (key, decimals) in COLUMNS.items()
        if any(key in found for *_, found in rows)
    }
    lines = [
        f"| | system | questions | {' | '.join(columns)} | date | command |",
        "|---|---|" + "---:|" * (1 + len(columns)) + "---|---|",
    ]
    for name, system, found in rows:
        cells = [
            f"{found[key]:,.{decimals}f}" if found.get(key) is not None else "–"
            for key, decimals in columns.values()
        ]
        cells = [SETS[name].title, system, f"{found['questions']['asked']:,}", *cells]
        lines.append(f"| {' | '.join(cells)} | {found['date']} | `{found['command']}` |")
    return "\n".join(lines) + "\n"


def store(name: str, system: str, found: Mapping[str, Any]) -> None:
    """Put a row into the file, and the rows of the file into the README."""
    results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    results.setdefault(name, {})[system] = found
    RESULT.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(f"{before}{BEGIN}{table(results)}{END}{rest.partition(END)[2]}", encoding="utf-8")


def in_a_process_of_its_own(arguments: argparse.Namespace, name: str, system: str) -> int:
    words = ["--sets", name, "--systems", system, "--work", str(arguments.work), "--set", *arguments.set]
    words += ["--limit", str(arguments.limit)] if arguments.limit else []
    return subprocess.run([sys.executable, __file__, *words], check=False).returncode


def chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for name in arguments.sets:
        for system in arguments.systems or [SETS[name].system]:
            yield name, system


def main() -> None:
    """Evaluate what is asked for and put the rows into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--systems", nargs="*", choices=[*BASELINES, OWN])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_eval")
    arguments = parser.parse_args()
    pairs = list(chosen(arguments))
    if len(pairs) > 1:
        ended = {pair: in_a_process_of_its_own(arguments, *pair) for pair in pairs}
        failed = [f"{name}, {system}" for (name, system), code in ended.items() if code]
        sys.exit(f"no row of: {'; '.join(failed)}" if failed else 0)
    ((name, system),) = pairs
    found = row(name, system, arguments.work, arguments.limit, arguments.set)
    print(name, system, json.dumps(found, ensure_ascii=False))
    if not arguments.limit and not arguments.set:
        store(name, system, found)


if __name__ == "__main__":
    main()
