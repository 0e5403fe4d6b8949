"""What `ragqa tune` makes of the fusion on SciFact, Cranfield and SQuAD, and of questions made from their passages.

    python benchmarks/bench_tune.py [--data ../shared/data] [--vectors FOLDER] [--sets scifact cranfield squad]
                                    [--limit N] [--out FILE]

Writes benchmarks/results/tune.json, a set beside those that stand there: nDCG@10 with the grades of the set, of each
leg, of the present and of the fitted fusion. On SciFact the fusion is fitted on the training queries and judged on the
test part, on SQuAD fitted on 2,000 training questions and judged on dev's, over all 20,963 paragraphs; on Cranfield
each question is judged under what was chosen without its fold. ``made`` is the fusion fitted on questions made from the
passages, judged on all real ones. ``from another weight`` is the fitted nDCG@10 where another weight stood before.
Passages and legs are those of bench_retrieval.py; ``--vectors`` keeps the passages' vectors. With ``--limit`` no more
questions than that are fitted on and judged, and nothing is written unless ``--out`` says where.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench_retrieval import TestSet, cached, sets_of
from ragqa import analysis, fusion, made_questions
from ragqa.config import Config, FusionConfig
from ragqa.data import squad
from ragqa.devices import cpu_model, threads
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.evaluation import folds
from ragqa.evaluation.retrieval import ndcg
from ragqa.evaluation.significance import mean_interval, paired
from ragqa.fitted import FOLDS, Found, Questions
from ragqa.fitting import legs_of
from ragqa.fitting_fusion import DEPTHS, fit_fusion
from ragqa.gold import Located
from ragqa.hybrid import HybridSearch, Timings
from ragqa.plugins import build
from ragqa.types import Example, Query

RESULT = Path(__file__).parent / "results" / "tune.json"
CONFIG = Config()
MEASURE = ndcg(10)
SQUAD_TRAINING, SEED = 2000, 7
STARTS = (0.0, CONFIG.fusion.dense_weight, 1.0)
LOWEST = {"scifact test": 0.73}
BELOW_THE_BETTER_LEG = 0.002


def located(test: TestSet) -> list[Located]:
    """Queries with a relevant passage, in the order of the set."""
    found = []
    for query, text in test.queries.items():
        rows = [int(row) for row, grade in test.qrels[query].items() if grade > 0 and row.isdecimal()]
        rows = [row for row in rows if row < len(test.passages)]
        if rows:
            found.append(Located(Example(Query(text, id=query)), tuple(rows), None))
    return found


def in_folds(test: TestSet, search: HybridSearch) -> Questions:
    asked = located(test)
    groups = [test.passages[one.rows[0]].doc_id for one in asked]
    return Questions(asked, legs_of(search, asked, max(DEPTHS)), groups, folds.by_group(groups, FOLDS))


def scores(test: TestSet, mine: Questions, settings: Sequence[FusionConfig]) -> list[float]:
    """nDCG@10 of each question, with the grades of the set, under a fusion of its own."""
    found = []
    for one, (dense, bm25), chosen in zip(mine.asked, mine.legs, settings, strict=True):
        near, match = dense.first(chosen.candidates).as_leg(), bm25.first(chosen.candidates).as_leg()
        ranking = fusion.convex(near, match, chosen.dense_weight)[:10]
        found.append(MEASURE([str(row) for row, _ in ranking], test.qrels[one.example.query.id]))
    return found


def measured(test: TestSet, mine: Questions, fitted: Sequence[FusionConfig]) -> dict[str, Any]:
    """The present fusion, each leg and the ``fitted`` fusion of each question on the same questions."""
    present = CONFIG.fusion
    alone = {
        name: present.model_copy(update={"dense_weight": w}) for name, w in (("bm25", 0.0), ("dense", 1.0))
    }
    legs = {name: float(np.mean(scores(test, mine, [one] * len(fitted)))) for name, one in alone.items()}
    before, after = scores(test, mine, [present] * len(fitted)), scores(test, mine, fitted)
    change, mean = paired(before, after, groups=mine.groups), float(np.mean(after))
    return {
        "questions": len(after),
        **{name: round(value, 4) for name, value in legs.items()},
        "before": round(float(np.mean(before)), 4),
        "after": round(mean, 4),
        "interval": [round(end, 4) for end in mean_interval(after)],
        "difference": [round(x, 4) for x in (change.mean, change.low, change.high, change.p)],
        "settings": sorted({(one.dense_weight, one.candidates) for one in fitted}),
        "holds": mean >= max(LOWEST.get(test.name, 0.0), max(legs.values()) - BELOW_THE_BETTER_LEG),
    }


def with_training(folder: Path, limit: int | None) -> list[TestSet]:
    """The sets of a folder, the one that judges last; with at most ``limit`` questions of each."""
    sets = sets_of(folder)
    if folder.name == "squad":
        sets = [squad_training(folder, sets[0]), *sets]
    return [drawn(one, limit) if limit else one for one in sets]


def squad_training(folder: Path, test: TestSet) -> TestSet:
    """Questions of the training articles over the same paragraphs."""
    rows = {passage.id: str(row) for row, passage in enumerate(test.passages)}
    some = random.Random(SEED).sample(squad.load(folder / "train-v1.1.json"), SQUAD_TRAINING)
    return replace(
        test,
        name="squad train",
        queries={one.query.id: one.query.text for one in some},
        qrels={one.query.id: {rows[one.positives[0].id]: 1} for one in some},
    )


def drawn(one: TestSet, limit: int) -> TestSet:
    kept = random.Random(SEED).sample(sorted(one.queries), min(limit, len(one.queries)))
    return replace(one, queries={q: one.queries[q] for q in kept}, qrels={q: one.qrels[q] for q in kept})


def of_folder(
    folder: Path, encoder: SentenceTransformerEncoder, kept: Path | None, limit: int | None
) -> dict[str, Any]:
    *training, test = with_training(folder, limit)
    texts = [passage.titled_text for passage in test.passages]
    path = kept / f"{test.name.split()[0]}_passages.npy" if kept else None
    vectors = cached(path, texts, encoder.encode_passages)
    made = made_questions.make(test.passages, vectors, encoder, CONFIG)
    search = searcher(texts, vectors, encoder)
    started = time.perf_counter()
    mine = in_folds(test, search)
    fit_on = in_folds(training[0], search) if training else mine
    fitted = {weight: of_each(fit_on, mine, weight) for weight in STARTS}
    seconds = (time.perf_counter() - started) / len(STARTS)
    report = {
        "seconds": round(seconds, 1),
        "fitted": measured(test, mine, fitted[CONFIG.fusion.dense_weight]),
    }
    report["from another weight"] = {
        str(weight): measured(test, mine, found)["after"] for weight, found in fitted.items()
    }
    if len(made.questions) < made_questions.LEAST:
        return {**report, "made": {"made questions": len(made.questions), "refused": True}}
    groups = [test.passages[one.rows[0]].doc_id for one in made.questions]
    cloze = Questions(
        made.questions,
        legs_of(made.search, made.questions, max(DEPTHS)),
        groups,
        folds.by_group(groups, FOLDS),
    )
    without = fit_fusion(cloze, CONFIG.fusion, Found(), mend_only=True)[0]
    made_report = measured(test, mine, [without] * len(mine.asked))
    return {**report, "made": {"made questions": len(groups), **made_report}}


def of_each(fit_on: Questions, judged: Questions, start: float) -> list[FusionConfig]:
    """The fusion that each question is judged under, fitted beginning with a weight."""
    chosen = fit_fusion(fit_on, CONFIG.fusion.model_copy(update={"dense_weight": start}), Found())
    if fit_on is not judged:
        return [chosen[0]] * len(judged.asked)
    return [chosen[fold + 1] for fold in judged.fold_of]


def searcher(texts: Sequence[str], vectors: Any, encoder: SentenceTransformerEncoder) -> HybridSearch:
    store, lexical = build("stores", CONFIG.store.options()), build("indexes", CONFIG.lexical.options())
    store.add(vectors)
    lexical.add([analysis.terms(text) for text in texts])
    return HybridSearch(encoder, store, lexical, CONFIG.fusion, Timings())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=None)
    parser.add_argument("--sets", nargs="*", default=["scifact", "cranfield", "squad"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = SentenceTransformerEncoder(truncate=True)
    out = arguments.out or (None if arguments.limit else RESULT)
    for name in arguments.sets:
        started = time.perf_counter()
        found = of_folder(arguments.data / name, encoder, arguments.vectors, arguments.limit)
        whole = {
            "command": f"python benchmarks/bench_tune.py --sets {name}",
            "date": time.strftime("%Y-%m-%d"),
            "cpu": cpu_model(),
            "cores": threads(),
            "encoder": encoder.fingerprint,
            "seconds in all": round(time.perf_counter() - started, 1),
            **found,
        }
        print(f"{name}: {json.dumps(whole)}", file=sys.stderr)
        if out is not None:
            store(out, name, whole)


def store(out: Path, name: str, found: dict[str, Any]) -> None:
    """Put a set into the file, beside the others."""
    before = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    report = {
        "bar": {"lowest": LOWEST, "below the better leg": BELOW_THE_BETTER_LEG},
        "results": {**before.get("results", {}), name: found},
    }
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
