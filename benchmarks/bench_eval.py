"""The stored table of `ragqa eval`: our own questions, SciFact, Cranfield, SQuAD, CMRC, DRCD, CommonsenseQA.

    python benchmarks/bench_eval.py [--sets kb squad …] [--systems hybrid …] [--limit N] [--work FOLDER]

Each set is indexed as a user would and evaluated by the code behind `ragqa eval`; benchmark passages are whole (an
abstract, a paragraph), the project's handbook is split as usual. ``--systems`` are those of `ragqa eval baselines`.
Rows go into benchmarks/results/eval.json beside those that stand there; ``--work`` keeps indexes and records, so
that a killed run goes on.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragqa.cli.evaluate import BASELINES
from ragqa.config import Config
from ragqa.data import distinct_passages, squad
from ragqa.devices import cpu_model
from ragqa.evaluating import TIMES, evaluate, write_report
from ragqa.indexing import build_index
from ragqa.pipeline import load_pipeline
from ragqa.types import Passage

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data"))
RESULT = Path(__file__).parent / "results" / "eval.json"
WHOLE = ("splitter=whole", "encoder.truncate=true")
RETRIEVAL = ("recall@1", "recall@5", "nDCG@10")
CONFIDENCE = ("expected calibration error", "coverage at 10% risk")


def paragraphs(folder: Path, passages: Iterable[Passage]) -> list[Path]:
    """The passages as documents: one file of JSON Lines."""
    path = folder / "paragraphs.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, passage in enumerate(passages):
            record = {"_id": str(number), "title": passage.title, "text": passage.text}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return [path]


def documents(name: str, folder: Path) -> tuple[list[Path], Path, Sequence[str]]:
    """What is indexed for a set, its questions, and the settings of both."""
    if name == "kb":
        return [ROOT / "kb"], ROOT / "tests" / "kb_questions.jsonl", ()
    if name in ("scifact", "cranfield"):
        return [DATA / name / "corpus.jsonl"], DATA / name, WHOLE
    if name == "squad":
        files = [DATA / "squad" / "train-v1.1.json", DATA / "squad" / "dev-v1.1.json"]
        passages = distinct_passages([e for file in files for e in squad.load(file)])
        return paragraphs(folder, passages), files[1], WHOLE
    if name == "commonsenseqa":
        # No document answers these; the handbook stands in for documents that say nothing of them.
        return [ROOT / "kb"], DATA / name / "dev_rand_split.jsonl", ("reader=multiple_choice",)
    file = DATA / {"cmrc": "cmrc2018", "drcd": "drcd"}[name] / "dev.json"
    return paragraphs(folder, distinct_passages(squad.load(file))), file, WHOLE


def row(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a system that the table shows, means only."""
    last = list(scores["retrieval"].values())[-1] if scores["retrieval"] else {}
    found = {name: last[name]["mean"] for name in RETRIEVAL if name in last}
    found |= {name: value["mean"] for name, value in scores["answers"].items() if value}
    found |= {name: scores["confidence"][name] for name in CONFIDENCE if name in scores["confidence"]}
    return {"questions": scores["questions"], **found}


def main() -> None:
    """Evaluate what is asked for and put the rows into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=["kb", "scifact", "cranfield", "squad", "cmrc", "drcd"])
    parser.add_argument("--systems", nargs="*", default=["hybrid"], choices=list(BASELINES))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_eval")
    arguments = parser.parse_args()
    table = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for name in arguments.sets:
        folder = arguments.work / name
        paths, questions, settings = documents(name, folder)
        index = folder / "index"
        if not (index / "CURRENT").exists():
            build_index(paths, index, Config.from_values({}, [s for s in settings if "reader" not in s]))
        for system in arguments.systems:
            started = time.perf_counter()
            place = folder / f"{system.replace(', ', '_').replace(' ', '_')}_{arguments.limit or 'all'}"
            with load_pipeline(index, overrides=[*settings, *BASELINES[system]]) as pipeline:
                done = evaluate(
                    pipeline,
                    questions,
                    place,
                    limit=arguments.limit,
                    on_bad=lambda fault: print(f"left out: {fault}"),
                )
            write_report(done, f"{name}, {system}")
            table.setdefault(name, {})[system] = {
                "date": time.strftime("%Y-%m-%d"),
                "cpu": cpu_model(),
                "command": f"python benchmarks/bench_eval.py --sets {name} --systems '{system}'"
                + (f" --limit {arguments.limit}" if arguments.limit else ""),
                "seconds": round(time.perf_counter() - started, 1),
                "times": json.loads((place / TIMES).read_text(encoding="utf-8")),
                **row(done.scores),
            }
            print(name, system, json.dumps(table[name][system]))
            RESULT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
