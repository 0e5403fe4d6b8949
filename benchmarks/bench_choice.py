"""The choice model: CommonsenseQA dev without a passage, and the project's own questions with four options each.

    python benchmarks/bench_choice.py [--model FOLDER]
    python benchmarks/bench_choice.py --model runs/choice_race/model --race ../race/RACE/test

Own questions: the English answerable ones of tests/kb_questions.jsonl, three wrong options drawn from the gold passage
(seeded); asked over kb/ with the default retrieval, and with the gold passage alone. Writes
benchmarks/results/choice.json. ``--race`` asks the test part of RACE instead, for a model that was trained on it and
does not ship, and writes benchmarks/results/choice_race.json.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import pretrained
from ragqa.config import Config
from ragqa.data import commonsenseqa, race
from ragqa.devices import cpu_model
from ragqa.evaluation.classes import accuracy, by_letter, confusion
from ragqa.indexing import build_index
from ragqa.models.choice import ChoiceModel
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.training.options import with_options
from ragqa.training.targets.choice import judged, scoring
from ragqa.types import Answer, Example, Hit, Query

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT / "tests" / "kb_questions.jsonl"
RESULT, RACE_RESULT = (
    Path(__file__).parent / "results" / f"{name}.json" for name in ("choice", "choice_race")
)
OPTIONS, SEED = 4, 13


Judged = Sequence[tuple[Example, np.ndarray[Any, np.dtype[np.float64]]]]
"""Questions, each with the scores of its options."""


def judged_by(folder: Path, examples: Sequence[Example]) -> Judged:
    """What the model in ``folder`` says of them."""
    model = ChoiceModel.load(folder)
    return judged(model, scoring(model, folder), examples)


def labelled(answers: Judged) -> dict[str, Any]:
    """Accuracy in percent, with precision, recall and F1 of each letter."""
    matrix = confusion(
        [int(e.choice or 0) for e, _ in answers],
        [int(scores.argmax()) for _, scores in answers],
        max(len(scores) for _, scores in answers),
    )
    letters = {
        letter: {name: round(getattr(row, name), 3) for name in ("precision", "recall", "f1")}
        for letter, row in by_letter(matrix).items()
    }
    return {"questions": len(answers), "accuracy": round(100 * accuracy(matrix), 2), "classes": letters}


def own(pipeline: Pipeline) -> Iterator[Example]:
    """The English answerable questions on the passage that holds their answer."""
    passages = list(pipeline.retriever.catalog.all_passages())
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["language"] == "en" and record["answers"]:
            gold = [
                p
                for p in passages
                if p.doc_id == record["document"] and p.start <= record["start"] and record["end"] <= p.end
            ]
            query = Query(record["question"], id=record["id"])
            yield Example(query, tuple(record["answers"]), positives=tuple(gold[:1]))


def right(answers: Sequence[Answer], asked: Sequence[Example]) -> float:
    """Percent of the questions whose right option was given."""
    found = [a.text == e.query.choices[e.choice or 0] for a, e in zip(answers, asked, strict=True)]
    return round(100 * float(np.mean(found)), 1)


def on_race(folder: Path, articles: Path) -> dict[str, Any]:
    """Accuracy on all questions, and on those of middle and high school."""
    answers = judged_by(folder, race.load(articles))
    schools = ("middle", "high")
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "test": labelled(answers),
        **{name: labelled([one for one in answers if one[0].query.id.startswith(name)]) for name in schools},
    }


def main() -> None:
    """Ask everything and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--race", type=Path, help="the folder RACE/test as published")
    arguments = parser.parse_args()
    folder = pretrained.folder_of("choice", arguments.model)
    if arguments.race:
        report = on_race(folder, arguments.race)
        print(json.dumps(report, indent=1))
        RACE_RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        return
    dev = commonsenseqa.load(arguments.data / "commonsenseqa" / "dev_rand_split.jsonl")
    report = {
        "command": "python benchmarks/bench_choice.py",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "commonsenseqa dev": labelled(judged_by(folder, dev)),
    }
    overrides = ["reader.name=multiple_choice", f"reader.model={arguments.model}"]
    with tempfile.TemporaryDirectory() as scratch:
        build_index([ROOT / "kb"], Path(scratch) / "kb", Config())
        with load_pipeline(Path(scratch) / "kb", overrides=overrides) as pipeline:
            asked = list(with_options(list(own(pipeline)), OPTIONS, SEED))
            queries = [e.query for e in asked]
            report["kb"] = {
                "questions": len(asked),
                "options": OPTIONS,
                "accuracy": right(pipeline.ask_many(queries), asked),
                "accuracy with the gold passage": right(
                    pipeline.reader.read(queries, [[Hit(e.positives[0], 1.0)] for e in asked]), asked
                ),
            }
    print(json.dumps(report, indent=1))
    if arguments.model == "builtin":
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
