"""The shipped generator on SQuAD v1.1 dev: answers, questions, and whether its questions lead back to the answers.

    python benchmarks/bench_generator.py [--model FOLDER] [--limit N] [--device auto] [--batch 128] [--out FILE]

Answers: each question with its gold paragraph; exact match and token F1 over the gold answers. Questions: for each
question of dev, its paragraph and first answer are given, and one is written; compared with the human question for the
same paragraph and answer. BLEU-4 is corpus BLEU against that one question, over lower-cased tokens of sacrebleu's 13a
(mteval-v13a), without smoothing, as is usual in the question-generation literature (Du, Shao and Cardie 2017,
arXiv:1705.00106). ROUGE-L is the mean F-measure over the same questions, without stemming. Round trip: the share of the
written questions that the extractive reader, reading the paragraph, answers with the given answer (exact match; mean
F1 beside it). "questions" are those that ragqa writes: of eight the best that this reader leads back, which is why
those chosen without it and greedily written ones stand beside them. Seconds are those of one question at a time, read
from top_k passages: its own and others of its article.
Writes benchmarks/results/generator.json.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sacrebleu.metrics.bleu import BLEU

from ragqa import pretrained
from ragqa.backbone import BUILTIN
from ragqa.beams import GREEDILY
from ragqa.data import distinct_passages, squad
from ragqa.devices import choose_device, choose_precision, cpu_model
from ragqa.evaluation.answers import exact_match, f1
from ragqa.evaluation.wording import rouge
from ragqa.prompting import NOT_HERE
from ragqa.readers.extractive import ExtractiveReader
from ragqa.types import Example, Hit, Passage, Query
from ragqa.writing import QUESTION_SEARCH, PointerWriter, open_pointer
from ragqa.written_questions import leading_back

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "squad"
RESULT = Path(__file__).parent / "results" / "generator.json"
TOP_K, TIMED = 5, 40


def percent(values: Sequence[float]) -> float:
    """The mean in percent."""
    return round(100 * float(np.mean(values)), 2)


def answering(writer: PointerWriter, asked: Sequence[Example]) -> dict[str, Any]:
    """Answers from the gold paragraph alone, greedily written."""
    started = time.perf_counter()
    drafts = writer.write([e.query.text for e in asked], [e.positives[:1] for e in asked])
    seconds = time.perf_counter() - started
    pairs = [(draft.text, e.answers) for draft, e in zip(drafts, asked, strict=True)]
    return {
        "questions": len(asked),
        "exact match": percent([exact_match(*pair) for pair in pairs]),
        "F1": percent([f1(*pair) for pair in pairs]),
        "refused": percent([float(text.lower() in NOT_HERE.values()) for text, _ in pairs]),
        "copied whole": percent(
            [float(d.text in e.positives[0].text) for d, e in zip(drafts, asked, strict=True)]
        ),
        "questions a second": round(len(asked) / seconds, 1),
    }


def likeness(written: Sequence[str], human: Sequence[str]) -> dict[str, float]:
    """BLEU-4 and ROUGE-L, in percent, as the head of this file says."""
    scorer = BLEU(lowercase=True, tokenize="13a", smooth_method="none", effective_order=False)
    pairs = zip(written, human, strict=True)
    return {
        "BLEU-4": round(float(scorer.corpus_score(list(written), [list(human)]).score), 2),
        "ROUGE-L": percent([rouge(one, [other])["ROUGE-L"] for one, other in pairs]),
    }


def round_trip(
    reader: ExtractiveReader, asked: Sequence[Example], written: Sequence[str]
) -> dict[str, float]:
    """Whether the extractive reader gives the answer that each written question was made for."""
    answers = reader.read([Query(text) for text in written], [[Hit(e.positives[0], 1.0)] for e in asked])
    pairs = [(a.unrefused, e.answers[:1]) for a, e in zip(answers, asked, strict=True)]
    return {
        "exact match": percent([exact_match(*pair) for pair in pairs]),
        "F1": percent([f1(*pair) for pair in pairs]),
    }


def asking(writer: PointerWriter, reader: ExtractiveReader, asked: Sequence[Example]) -> dict[str, Any]:
    """Questions for the first answer of each question of dev, in three ways, beside those of people."""
    passages, spans = [e.positives[0] for e in asked], [e.spans[0] for e in asked]
    several, one = (
        [[draft.text for draft in mine] for mine in writer.ask(passages, spans, search=search)]
        for search in (QUESTION_SEARCH, GREEDILY)
    )
    chosen = [question.text for question in leading_back(reader, passages, spans, several)]
    ways = {
        "questions": chosen,
        "questions, without the reader": [mine[0] for mine in several],
        "questions, greedily written": [mine[0] for mine in one],
    }
    human = [e.query.text for e in asked]
    found: dict[str, Any] = {
        name: {**likeness(texts, human), "round trip": round_trip(reader, asked, texts)}
        for name, texts in ways.items()
    }
    found["questions"] |= {
        "questions": len(asked),
        "beams": QUESTION_SEARCH.width,
        "round trip of the human questions": round_trip(reader, asked, human),
        "examples": [
            {"answer": e.answers[0], "written": text, "human": e.query.text}
            for e, text in list(zip(asked, chosen, strict=True))[:: max(1, len(asked) // 12)]
        ],
    }
    return found


def passages_of(example: Example, known: dict[str, list[Passage]]) -> list[Passage]:
    """Its own paragraph and others of its article, ``TOP_K`` together."""
    own = example.positives[0]
    return [own, *(p for p in known[own.doc_id] if p.id != own.id)][:TOP_K]


def timing(folder: Path, device: str, dtype: torch.dtype, asked: Sequence[Example]) -> dict[str, float]:
    """Seconds of one question at a time, warm: up to the first token, and to the end of the answer."""
    known: dict[str, list[Passage]] = {}
    for passage in distinct_passages(asked):
        known.setdefault(passage.doc_id, []).append(passage)
    seconds = {}
    for name, tokens in (("first token", 1), ("answer", 48)):
        writer = open_pointer(folder, device=device, dtype=dtype, max_answer_tokens=tokens)
        taken = []
        for example in asked[: TIMED + 3]:
            started = time.perf_counter()
            writer.write([example.query.text], [passages_of(example, known)])
            taken.append(time.perf_counter() - started)
        seconds[f"{name} median"] = round(float(np.median(taken[3:])), 4)
        seconds[f"{name} p95"] = round(float(np.quantile(taken[3:], 0.95)), 4)
    return seconds


def main() -> None:
    """Run everything and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=BUILTIN)
    parser.add_argument("--limit", type=int, default=0, help="a seeded sample of so many questions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--timed-on", default=None, help="the device whose seconds are told; default: --device"
    )
    parser.add_argument("--out", type=Path, help=f"default: {RESULT.name} for the shipped model, else none")
    arguments = parser.parse_args()
    folder = pretrained.folder_of("generator", arguments.model)
    device = choose_device(arguments.device)
    dtype = torch.bfloat16 if choose_precision("auto", device) == "bf16" else torch.float32
    dev = squad.load(DATA / "dev-v1.1.json")
    asked = random.Random(1).sample(dev, min(arguments.limit, len(dev))) if arguments.limit else dev
    writer = open_pointer(folder, device=device, dtype=dtype, max_answer_tokens=48, batch=arguments.batch)
    timed_on = arguments.timed_on or device
    timed_type = dtype if timed_on == device else torch.float32
    record: dict[str, Any] = {
        "command": f"python benchmarks/bench_generator.py{f' --limit {len(asked)}' if arguments.limit else ''}",
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if device == "cuda" else cpu_model(),
        "precision": str(dtype).removeprefix("torch."),
        "model_bytes": (folder / "model.safetensors").stat().st_size,
    }

    def tell(name: str, value: Any) -> None:
        record[name] = value
        print(json.dumps({name: value}), flush=True)

    tell("answers", answering(writer, asked))
    reader = ExtractiveReader(device=arguments.device)
    for name, value in asking(writer, reader, asked).items():
        tell(name, value)
    tell("seconds", {"device": timed_on, "top_k": TOP_K, **timing(folder, timed_on, timed_type, dev[::37])})
    target = arguments.out or (RESULT if arguments.model == BUILTIN and not arguments.limit else None)
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
