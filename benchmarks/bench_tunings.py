"""What each tuning of the reader costs: questions/s, memory, weights that train and that are stored.

    python benchmarks/bench_tunings.py [--questions N]

Each trains a reader with fresh heads on N questions of SQuAD v1.1 train, one epoch, one after the other, as
`ragqa finetune compare` does; how well they learn is another question, which takes 20,000 questions and is answered
in benchmarks/results/tunings.json. Questions/s are those of the training loop, memory in MB is the greatest that the
process of that tuning held while it trained and was judged. Writes benchmarks/results/tunings_cost.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ragqa.devices import cpu_model
from ragqa.training.comparing import compare_tunings
from ragqa.training.recording import METRICS
from ragqa.training.schedule import Schedule
from ragqa.training.settings import ReaderRun

RESULT = Path(__file__).parent / "results" / "tunings_cost.json"
TUNINGS = ("full", "lora", "adapter", "bitfit", "prompt")


def speed(metrics: Path) -> float:
    """Questions/s of the whole loop, as the run told them last."""
    told = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return float([values["groups_per_second"] for values in told if "groups_per_second" in values][-1])


def main() -> None:
    """Train with every tuning and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--questions", type=int, default=1000)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run = ReaderRun(
            data=(arguments.data / "squad" / "train-v1.1.json",),
            max_questions=arguments.questions,
            start_from=None,
            output=Path(scratch),
            validation_documents=4,
            test_documents=4,
            validation_questions=32,
            hard_negatives=0,
            hard_negative_share=0.0,
            unanswerable_share=0.0,
            schedule=Schedule(epochs=1, batch_groups=32, validate_steps=10**6),
        )
        for one in compare_tunings(run, TUNINGS, lambda values: print(values, file=sys.stderr)):
            found[one.name] = {
                "questions_per_second": speed(Path(scratch) / one.name / METRICS),
                "peak_mb": round(one.peak_mb),
                "trained_parameters": one.trained_parameters,
                "model_mb": round(one.model_mb, 2),
            }
    report = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "threads": os.cpu_count() or 1,
        "questions": arguments.questions,
        "tunings": found,
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
