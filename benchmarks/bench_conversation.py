"""Follow-up questions over kb/: retrieval with gold standalone questions, as asked, and as the rewriter completes them.

    python benchmarks/bench_conversation.py [--split tune|test|all] [--canard] [--set KEY=VALUE ...] [--out FILE]

recall@5 is the share of turns with a hit, among five, that holds the first character of the gold answer. The rewriter
sees the conversation as the program had it: its own rewritten questions and the answers that the reader gave. With
``--canard`` its rewrites of CANARD dev (EMNLP 2019) are compared with those of people, by unigram F1 (ROUGE-1).
Writes benchmarks/results/conversation.json for everything with the default settings, or the file that ``--out`` names.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ragqa.config import Config
from ragqa.evaluation.answers import f1
from ragqa.indexing import build_index
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.protocols import Rewriter
from ragqa.rewriters.rules import RulesRewriter
from ragqa.types import Answer, Turn

ROOT = Path(__file__).resolve().parents[1]
CONVERSATIONS = ROOT / "tests" / "kb_conversations.jsonl"
RESULT = Path(__file__).parent / "results" / "conversation.json"
CANARD = Path(os.environ.get("RAGQA_DATA", ROOT.parent / "shared" / "data")) / "canard" / "dev.json"
TOP_K = 5
WAYS = ("gold", "plain", "rewritten")

Record = dict[str, Any]


def percent(values: Sequence[float]) -> float:
    """Mean in percent, to one decimal."""
    return round(100 * float(np.mean(values)), 1) if values else 0.0


def found(pipeline: Pipeline, answer: Answer, record: Record) -> bool:
    """Whether a hit holds the first character of the gold answer."""
    text = pipeline.retriever.catalog.document(record["document"]).text
    place = text.index(record["quote"]) + record["quote"].index(record["answers"][0])
    return any(
        h.passage.doc_id == record["document"] and h.passage.start <= place < h.passage.end
        for h in answer.hits
    )


def asked(pipeline: Pipeline, records: Sequence[Record]) -> Iterator[Record]:
    """Each turn with what came of it in every way of asking."""
    for _, turns in groupby(records, key=lambda record: record["conversation"]):
        history: list[Turn] = []
        for record in turns:
            rewritten = pipeline.rewrite(history, record["question"])
            texts = {
                "gold": record["standalone"],
                "plain": record["question"],
                "rewritten": rewritten.text,
            }
            answers = {way: pipeline.ask(texts[way], TOP_K) for way in WAYS}
            history.append(Turn(record["question"], rewritten.text, answers["rewritten"].text))
            yield {
                **record,
                "rewritten": rewritten.text,
                "found": {way: found(pipeline, answers[way], record) for way in WAYS},
                "f1": {way: f1(answers[way].text or "", record["answers"]) for way in WAYS},
            }


def figures(turns: Sequence[Record]) -> Record:
    """recall@5 and F1 of follow-up turns in percent, in each way of asking."""
    result: Record = {"turns": len(turns)}
    for measure in ("found", "f1"):
        name = "recall@5" if measure == "found" else "answer_f1"
        result[name] = {way: percent([t[measure][way] for t in turns]) for way in WAYS}
    recalls = result["recall@5"]
    result["share_of_gold"] = {
        way: round(100 * recalls[way] / recalls["gold"], 1) if recalls["gold"] else 0.0 for way in WAYS[1:]
    }
    result["better_than_plain"] = percent([t["found"]["rewritten"] > t["found"]["plain"] for t in turns])
    result["worse_than_plain"] = percent([t["found"]["rewritten"] < t["found"]["plain"] for t in turns])
    result["left_as_asked"] = percent([t["rewritten"] == t["question"] for t in turns])
    return result


def measure(pipeline: Pipeline, records: Sequence[Record]) -> Record:
    """The figures of follow-up turns: all, by language and by kind."""
    turns = list(asked(pipeline, records))
    follow_ups = [t for t in turns if t["turn"] > 1]
    result: Record = {"conversations": len({t["conversation"] for t in turns}), **figures(follow_ups)}
    for language in ("en", "zh"):
        result[language] = figures([t for t in follow_ups if t["language"] == language])
    kinds = sorted({t["kind"] for t in follow_ups})
    result["kinds"] = {kind: figures([t for t in follow_ups if t["kind"] == kind]) for kind in kinds}
    return result


def canard(rewriter: Rewriter) -> Record | None:
    """ROUGE-1 of questions against people's rewrites, in percent: as asked, and as completed; None without the data.

    The history is the data set's: title and section of the article, then the questions as asked and their answers.
    Each earlier question is taken as the rewriter completed it.
    """
    from ragqa.evaluation.wording import rouge

    if not CANARD.is_file():
        print(f"CANARD is left out: there is no {CANARD}; set RAGQA_DATA", file=sys.stderr)
        return None
    entries = json.loads(CANARD.read_text(encoding="utf-8"))
    scores: dict[str, list[float]] = {"plain": [], "rewritten": []}
    better, worse = 0, 0
    for _, dialogue in groupby(entries, key=lambda entry: entry["QuAC_dialog_id"]):
        history: list[Turn] = []
        for entry in dialogue:
            said = entry["History"]
            opening = Turn(said[0], f"{said[0]}, {said[1]}?", None)
            if history:
                history[-1] = Turn(history[-1].question, history[-1].standalone, said[-1])
            text = rewriter.rewrite([opening, *history][-6:], entry["Question"]).text
            history.append(Turn(entry["Question"], text))
            pair = {"plain": entry["Question"], "rewritten": text}
            now = {way: rouge(t, [entry["Rewrite"]])["ROUGE-1"] for way, t in pair.items()}
            for way, score in now.items():
                scores[way].append(score)
            better += now["rewritten"] > now["plain"]
            worse += now["rewritten"] < now["plain"]
    count = len(scores["plain"])
    return {
        "questions": count,
        "rouge-1": {way: percent(values) for way, values in scores.items()},
        "better_than_plain": round(100 * better / count, 1),
        "worse_than_plain": round(100 * worse / count, 1),
    }


def main() -> None:
    """Index kb/ into a scratch folder, hold every conversation, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("tune", "test", "all"), default="all")
    parser.add_argument("--canard", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)

    arguments = parser.parse_args()
    records = [json.loads(line) for line in CONVERSATIONS.read_text(encoding="utf-8").splitlines()]
    splits = ("tune", "test") if arguments.split == "all" else (arguments.split,)
    measured: Record = {}
    with tempfile.TemporaryDirectory() as folder:
        build_index([ROOT / "kb"], Path(folder) / "kb", Config())
        with load_pipeline(Path(folder) / "kb", overrides=arguments.overrides) as pipeline:
            for split in splits:
                measured[split] = measure(pipeline, [r for r in records if r["split"] == split])
    if arguments.canard and (outside := canard(RulesRewriter())):
        measured["canard dev"] = outside
    print(json.dumps(measured, indent=1))
    is_default = arguments.split == "all" and arguments.canard and not arguments.overrides
    if out := arguments.out or (RESULT if is_default else None):
        command = " ".join(["python", *sys.argv])
        record = {"command": command, "date": time.strftime("%Y-%m-%d"), **measured}
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
