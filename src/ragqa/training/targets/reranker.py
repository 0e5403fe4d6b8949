"""The reranker: which of the passages that look right is right, and how much its word shall weigh."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ragqa import backbone, data
from ragqa.data.faults import OnBad
from ragqa.evaluation.retrieval import Measure, ndcg, recall
from ragqa.models.pair import PairModel
from ragqa.models.placing import placed
from ragqa.rerankers.cross_encoder import FITTED, combined
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.mining import mined, searched
from ragqa.training.objectives.pair import PairObjective
from ragqa.training.retrieval import Retrieves
from ragqa.training.settings import RerankerRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import goes_on, initial, store
from ragqa.training.task import Report, Task
from ragqa.types import Example, Hit
from ragqa.windows import lay_out, load_tokenizer, pad

MEASURES: dict[str, Measure] = {"nDCG@10": ndcg(10), "recall@1": recall(1)}
WEIGHTS = tuple(round(0.1 * tenth, 1) for tenth in range(11))
_BATCH = 32


def examples(run: RerankerRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``."""
    return data.read_all(run.data, run.max_questions, run.split_seed, on_bad)


def task(run: RerankerRun, split: Split, report: Report) -> Task:
    """The reranker of ``run``."""
    model, start = initial(PairModel, run)
    objective = PairObjective(
        load_tokenizer(backbone.resolve(run.backbone)), negatives=run.negatives, listwise=run.listwise
    )
    retriever = searched(split, run.mining)
    validation = shuffled([e for e in split.validation if e.positives], run.split_seed)
    held_out = _Ranked.of(validation[: run.validation_questions], retriever, run.candidates)
    return Task(
        model,
        objective,
        mined(split, retriever, run.hard_negatives, run.mining, report),
        "nDCG@10",
        lambda m: float(np.mean(held_out.scores(held_out.judged(m, objective), 1.0)["nDCG@10"])),
        goes_on=goes_on(PairModel, run),
        save=lambda folder, tensors, best: store(
            PairModel, run, start, folder, tensors, {"best_validation_ndcg": round(best, 4)}
        ),
        finish=lambda folder: _fit_weight(folder, held_out, objective, report),
        compare=lambda folder: _compare(folder, split, retriever, run.candidates, objective),
    )


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Questions with the hits that a reranker would be given."""

    examples: Sequence[Example]
    hits: Sequence[Sequence[Hit]]

    @classmethod
    def of(cls, examples: Sequence[Example], retriever: Retrieves, candidates: int) -> "_Ranked":
        return cls(examples, retriever.retrieve([e.query.text for e in examples], candidates))

    @torch.inference_mode()
    def judged(self, model: Any, objective: PairObjective) -> list[list[float]]:
        """What ``model`` says of each hit; the greatest over the windows of a long passage."""
        windows, owners = [], []
        for number, (example, hits) in enumerate(zip(self.examples, self.hits, strict=True)):
            passages = [hit.passage for hit in hits]
            laid = lay_out(objective.tokenizer, objective.windower, example.query.text, passages)
            windows += laid.windows
            owners += [(number, place) for place in laid.owners]
        found = [[-float("inf")] * len(hits) for hits in self.hits]
        order = sorted(range(len(windows)), key=lambda row: len(windows[row].ids))
        for at in range(0, len(order), _BATCH):
            rows = order[at : at + _BATCH]
            ids, mask, kinds, _ = pad([windows[row] for row in rows], objective.windower)
            (scores,) = model(*map(torch.from_numpy, (ids, mask, kinds)))
            for row, score in zip(rows, scores.tolist(), strict=True):
                number, place = owners[row]
                found[number][place] = max(found[number][place], score)
        return found

    def scores(self, judged: Sequence[Sequence[float]], weight: float) -> Scores:
        """Each measure for each question, when the model's word has ``weight``."""
        found: dict[str, list[float]] = {name: [] for name in MEASURES}
        for example, hits, mine in zip(self.examples, self.hits, judged, strict=True):
            ranked = combined(hits, mine, weight)
            ranking = [hit.passage.id for hit in ranked]
            right = {p.id: 1 for p in example.positives}
            for name, measure in MEASURES.items():
                found[name].append(measure(ranking, right))
        return found


def _fit_weight(folder: Path, held_out: _Ranked, objective: PairObjective, report: Report) -> None:
    """Store the weight with the best nDCG@10 on held-out questions; of equal ones the smallest."""
    judged = held_out.judged(placed(PairModel.load(folder)), objective)
    curve = {w: float(np.mean(held_out.scores(judged, w)["nDCG@10"])) for w in WEIGHTS}
    weight = max(WEIGHTS, key=lambda w: (round(curve[w], 4), -w))
    values = {"weight": weight, "ndcg@10 by weight": {str(w): round(v, 4) for w, v in curve.items()}}
    (folder / FITTED).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    report({"weight": weight, "ndcg@10": round(curve[weight], 4), "without": round(curve[0.0], 4)})


def _compare(
    folder: Path, split: Split, retriever: Retrieves, candidates: int, objective: PairObjective
) -> Comparison | None:
    """The hits of the test part's questions as the retriever ranks them, and as the stored reranker does."""
    asked = [e for e in split.test if e.positives]
    if not asked:
        return None
    ranked = _Ranked.of(asked, retriever, candidates)
    judged = ranked.judged(placed(PairModel.load(folder)), objective)
    weight = float(json.loads((folder / FITTED).read_text(encoding="utf-8"))["weight"])
    return compare(ranked.scores(judged, 0.0), ranked.scores(judged, weight))
