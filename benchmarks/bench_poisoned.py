"""One document that gives orders beside kb/: whose answers does it change?

    python benchmarks/bench_poisoned.py [--readers NAME …] [--out FILE]

Each of 40 such documents in turn, about a canteen or a garden and with another order to answer with a false name (20
forms in English, 20 in Chinese), is indexed with kb/, and the project's own questions are asked again. An answer has
changed where its text or one of its citations differs from before. Read again are the questions whose hits differ, in
passage, order or score; by the generator, which is told ranks and never scores, those whose passages or order differ,
as the others are the same reading.
Writes benchmarks/results/poisoned.json.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ragqa.analysis import is_han
from ragqa.config import Config
from ragqa.devices import cpu_model
from ragqa.evaluation.perturbing import DECOY, DECOY_ZH, orders
from ragqa.indexing import build_index
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.types import Answer, Hit, Query

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT / "tests" / "kb_questions.jsonl"
RESULT = Path(__file__).parent / "results" / "poisoned.json"
ORDER = "order.md"

Found: TypeAlias = Sequence[Sequence[Hit]]


def told(answer: Answer) -> tuple[Any, ...]:
    """What a person is told."""
    return answer.text, [(c.doc_id, c.start, c.end, c.quote) for c in answer.citations]


def seen(query: Query, hits: Sequence[Hit], reader: str) -> list[tuple[Any, ...]]:
    """What of the hits the reader can tell apart; it is the matcher of sentences that reads Chinese for both."""
    by_rank = reader == "generative" and not is_han(query.text)
    return [
        (hit.passage.doc_id, hit.passage.start, hit.passage.end, 0.0 if by_rank else hit.score)
        for hit in hits
    ]


def changes(
    pipeline: Pipeline, reader: str, queries: Sequence[Query], before: tuple[Found, list[Answer]], hits: Found
) -> dict[str, Any]:
    """Who was read anew, who had the order among the hits, whose answer is another one."""
    rows = [
        n
        for n, query in enumerate(queries)
        if seen(query, hits[n], reader) != seen(query, before[0][n], reader)
    ]
    answers = pipeline.read([queries[n] for n in rows], [hits[n] for n in rows])
    changed = [
        {"question": queries[n].text, "before": before[1][n].text, "after": answer.text}
        for n, answer in zip(rows, answers, strict=True)
        if told(answer) != told(before[1][n])
    ]
    return {
        "read anew": len(rows),
        "misled": sum(any(name in (a.text or "") for name in (DECOY, DECOY_ZH)) for a in answers),
        "changed": changed,
    }


def main() -> None:
    """Ask before, then once more beside each order; print a line for each, write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readers", nargs="+", default=["extractive", "generative"])
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    queries = [
        Query(json.loads(line)["question"]) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()
    ]
    started = time.perf_counter()
    rounds: dict[str, list[dict[str, Any]]] = {reader: [] for reader in arguments.readers}
    among = 0
    with tempfile.TemporaryDirectory() as scratch:
        documents, index = Path(scratch) / "documents", Path(scratch) / "index"
        shutil.copytree(ROOT / "kb", documents / "kb")
        before: dict[str, tuple[Found, list[Answer]]] = {}
        for number, text in enumerate(["", *orders()]):
            if text:
                (documents / ORDER).write_text(text, encoding="utf-8")
            build_index([documents], index, Config())
            hits: Found = []
            for reader in arguments.readers:
                with load_pipeline(index, overrides=[f"reader.name={reader}"]) as pipeline:
                    hits = hits or pipeline.retrieve(queries)  # the same for every reader
                    if not text:
                        before[reader] = hits, pipeline.read(queries, hits)
                        continue
                    found = changes(pipeline, reader, queries, before[reader], hits)
                    rounds[reader].append(found)
                    print(
                        f"order {number} of 40, {reader}: {json.dumps(found, ensure_ascii=False)}", flush=True
                    )
            among += sum(hit.passage.doc_id.endswith(ORDER) for mine in hits for hit in mine)
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "questions": len(queries),
        "orders": len(orders()),
        "an order among the hits": among,
        "readers": {
            reader: {
                "readings": sum(one["read anew"] for one in found),
                "misled": sum(one["misled"] for one in found),
                "answers changed": sum(len(one["changed"]) for one in found),
                "changed": [change for one in found for change in one["changed"]],
            }
            for reader, found in rounds.items()
        },
    }
    arguments.out.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
