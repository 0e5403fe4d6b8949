"""The project's own questions over kb/: answers, refusals and citations at the default operating point.

    python benchmarks/bench_kb.py [--split tune|test|all] [--set KEY=VALUE ...] [--out FILE]

Writes benchmarks/results/kb.json for the whole set with the default settings, or the file that ``--out`` names.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragqa.config import Config
from ragqa.evaluation.answers import exact_match, f1
from ragqa.indexing import build_index
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.types import Answer, Query

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT / "tests" / "kb_questions.jsonl"
RESULT = Path(__file__).parent / "results" / "kb.json"


def percent(values: Sequence[float]) -> float:
    """Mean in percent, to one decimal."""
    return round(100 * float(np.mean(values)), 1) if values else 0.0


def stands(pipeline: Pipeline, answer: Answer) -> bool:
    """Every citation is the exact slice of its document."""
    catalog = pipeline.retriever.catalog
    return all(catalog.document(c.doc_id).text[c.start : c.end] == c.quote for c in answer.citations)


def measure(pipeline: Pipeline, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores of each language; a refused question scores 0."""
    answers = pipeline.ask_many([Query(r["question"]) for r in records])
    rows = list(zip(records, answers, strict=True))
    result: dict[str, Any] = {
        "questions": len(rows),
        "citations_right": all(stands(pipeline, a) for a in answers),
    }
    for language in ("en", "zh"):
        known = [(r, a) for r, a in rows if r["language"] == language and r["answers"]]
        unknown = [a for r, a in rows if r["language"] == language and not r["answers"]]
        result[language] = {
            "answerable": len(known),
            "f1": percent([f1(a.text or "", r["answers"]) for r, a in known]),
            "exact_match": percent([exact_match(a.text or "", r["answers"]) for r, a in known]),
            "contains_answer": percent([any(g in (a.text or "") for g in r["answers"]) for r, a in known]),
            "f1_before_threshold": percent([f1(a.unrefused, r["answers"]) for r, a in known]),
            "document_in_hits": percent(
                [any(h.passage.doc_id == r["document"] for h in a.hits) for r, a in known]
            ),
            "span_in_hits": percent(
                [
                    any(
                        h.passage.doc_id == r["document"] and h.passage.start <= r["start"] < h.passage.end
                        for h in a.hits
                    )
                    for r, a in known
                ]
            ),
            "answerable_refused": percent([a.text is None for _, a in known]),
            "unanswerable": len(unknown),
            "unanswerable_refused": percent([a.text is None for a in unknown]),
        }
    known_all = [a for r, a in rows if r["answers"]]
    result["answerable_refused"] = percent([a.text is None for a in known_all])
    result["unanswerable_refused"] = percent([a.text is None for r, a in rows if not r["answers"]])
    return result


def main() -> None:
    """Index kb/ into a scratch folder, ask every question, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("tune", "test", "all"), default="all")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    records = [r for r in map(json.loads, lines) if arguments.split in ("all", r["split"])]
    with tempfile.TemporaryDirectory() as folder:
        build_index([ROOT / "kb"], Path(folder) / "kb", Config())
        with load_pipeline(Path(folder) / "kb", overrides=arguments.overrides) as pipeline:
            measured = measure(pipeline, records)
    print(json.dumps(measured, indent=1))
    is_default = arguments.split == "all" and not arguments.overrides
    if out := arguments.out or (RESULT if is_default else None):
        command = " ".join(["python", *sys.argv])
        record = {"command": command, "date": time.strftime("%Y-%m-%d"), **measured}
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
