"""Training the reader: questions/s, memory and F1 beside transformers' own Trainer, from the same encoder.

    python benchmarks/bench_trainer.py [--questions N] [--only ragqa trainer trainer_dynamic trainer_quick]

All learn N questions of SQuAD v1.1 train (ragqa puts those of two articles aside), one epoch in batches of 32,
windows of 384 tokens, fresh heads, on as many threads as there are cores; each in a process of its own, one after the
other. The Trainer runs in float32, once as its question-answering example does it (every window padded to 384
tokens) and once with windows padded to the longest of their batch; ``trainer_quick``, only where it is named, is the
latter with the attention of ``ragqa.models.attention``, freed memory kept, and windows of like lengths in a batch (an
option of the Trainer): the same functions computed faster, so that its F1 after many questions can be had in less
than a night. ragqa runs `finetune reader` as it comes: bfloat16 where the CPU has it, batches of like lengths, frozen
word embeddings. F1 is on all questions of dev with the gold paragraph. Memory in MiB is the greatest of training
(``training_peak_mb``, with the data read before), and of all that the process did, judging included.
Writes benchmarks/results/trainer.json.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import processes
from ragqa import backbone, data
from ragqa.data import squad
from ragqa.devices import choose_device, cpu_model
from ragqa.models import attention
from ragqa.training.allocator import freed_memory_kept
from ragqa.types import Example

RESULT = Path(__file__).parent / "results" / "trainer.json"
WAYS = ("ragqa", "trainer", "trainer_dynamic")
QUICK = "trainer_quick"
BATCH, WINDOW, STRIDE, SEED = 32, 384, 128, 13
RATE = 2.5e-4


def ragqa(train: Path, questions: int, folder: Path) -> dict[str, float]:
    """`finetune reader` on the questions; the folder model/ stays."""
    from ragqa.training.run import finetune
    from ragqa.training.schedule import Schedule
    from ragqa.training.settings import ReaderRun

    speeds: list[float] = []

    def report(values: dict[str, Any]) -> None:
        if "groups_per_second" in values:
            speeds.append(values["groups_per_second"])

    run = ReaderRun(
        data=(train,),
        max_questions=questions,
        start_from=None,
        output=folder,
        validation_documents=2,
        test_documents=0,
        validation_questions=32,
        hard_negatives=0,
        hard_negative_share=0.0,
        unanswerable_share=0.0,
        calibration_questions=50,
        storage="float32",
        schedule=Schedule(epochs=1, batch_groups=BATCH, learning_rate=RATE, seed=SEED, validate_steps=10**6),
    )
    finetune(run, resume=False, report=report)
    return {"questions_per_second": speeds[-1]}


def trainer(examples: list[Example], folder: Path, way: str) -> dict[str, float]:
    """transformers' Trainer on the windows of ``examples``, as its question-answering example makes them."""
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    dynamic = way != "trainer"
    source = backbone.builtin_path()
    tokenizer = AutoTokenizer.from_pretrained(source)
    encoded = tokenizer(
        [e.query.text for e in examples],
        [e.positives[0].text for e in examples],
        truncation="only_second",
        max_length=WINDOW,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False if dynamic else "max_length",
    )
    rows = []
    for row, owner in enumerate(encoded["overflow_to_sample_mapping"]):
        span = examples[owner].spans[0]
        kinds, offsets = encoded.sequence_ids(row), encoded["offset_mapping"][row]
        inside = [
            place
            for place, (start, end) in enumerate(offsets)
            if kinds[place] == 1 and start < span.end and end > span.start
        ]
        whole = bool(inside) and offsets[inside[0]][0] <= span.start and offsets[inside[-1]][1] >= span.end
        features = {name: encoded[name][row] for name in ("input_ids", "attention_mask", "token_type_ids")}
        first, last = (inside[0], inside[-1]) if whole else (0, 0)
        rows.append({**features, "start_positions": first, "end_positions": last})
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RATE,
        weight_decay=0.01,
        warmup_steps=round(0.06 * len(rows) / BATCH),
        seed=SEED,
        train_sampling_strategy="group_by_length" if way == QUICK else "random",
        use_cpu=choose_device("auto") == "cpu",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    learner = Trainer(
        model=AutoModelForQuestionAnswering.from_pretrained(
            source, attn_implementation=attention.register() if way == QUICK else None
        ),
        args=arguments,
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer) if dynamic else default_data_collator,
    )
    with freed_memory_kept() if way == QUICK else nullcontext():
        finished = learner.train()
    learner.save_model(str(folder / "model"))
    tokenizer.save_pretrained(str(folder / "model"))
    return {"questions_per_second": round(len(examples) / finished.metrics["train_runtime"], 2)}


def worked(way: str, root: Path, questions: int) -> dict[str, float]:
    """Train one way and judge what came out of it."""
    from ragqa import pretrained
    from ragqa.models.span import load_span
    from ragqa.training.judging import reading_scores
    from ragqa.windows import load_tokenizer

    train = root / "squad" / "train-v1.1.json"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if way == "ragqa":
            found = ragqa(train, questions, folder)
        else:
            examples = data.read_all([train], questions, SEED, on_bad=lambda _: None)
            found = trainer(examples, folder, way)
        found["training_peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        model = folder / "model"
        asked = squad.load(root / "squad" / "dev-v1.1.json")
        scores = reading_scores(load_span(model), load_tokenizer(pretrained.backbone_of(model)), asked)
        return {**found, "f1": round(100 * sum(scores["F1"]) / len(asked), 2)}


def main() -> None:
    """Train every way and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--questions", type=int, default=960)
    parser.add_argument("--out", type=Path, help="write the result there, that of some ways, too")
    parser.add_argument("--only", nargs="*", choices=(*WAYS, QUICK), default=WAYS)
    parser.add_argument("--worker", choices=(*WAYS, QUICK), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worked(arguments.worker, arguments.data, arguments.questions)))
        return
    threads = os.cpu_count() or 1
    results: dict[str, Any] = {}
    for way in arguments.only:
        command = [sys.executable, __file__, "--worker", way, "--questions", str(arguments.questions)]
        finished = processes.run(
            [*command, "--data", str(arguments.data)], processes.environment(threads), Path.cwd()
        )
        if finished.returncode:
            raise SystemExit(f"{way}: {finished.reason}")
        found = json.loads(finished.stdout.strip().splitlines()[-1])
        results[way] = {**found, "peak_mb": round(finished.peak_mb)}
        print(f"{way}: {json.dumps(results[way])}", file=sys.stderr, flush=True)
    report = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "threads": threads,
        "questions": arguments.questions,
        "ways": results,
    }
    whole = set(WAYS) == set(results)
    if whole:
        ours = results["ragqa"]["questions_per_second"]
        report["times_the_questions_per_second"] = {
            way: round(ours / results[way]["questions_per_second"], 2) for way in WAYS[1:]
        }
    if out := arguments.out or (RESULT if whole else None):
        out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
