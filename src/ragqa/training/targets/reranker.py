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
from ragqa.evaluation.choosing import as_good, smoothed
from ragqa.evaluation.retrieval import Measure, ndcg, recall
from ragqa.literacy import Literacy
from ragqa.models.pair import PairModel
from ragqa.models.placing import placed
from ragqa.rerankers.cross_encoder import FITTED, Mixture, combined, fitted_mixture
from ragqa.training import checking
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.mining import mined, searched
from ragqa.training.objectives.pair import PairObjective
from ragqa.training.retrieval import Retrieves
from ragqa.training.settings import MiningConfig, RerankerRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import goes_on, initial, store
from ragqa.training.task import Report, Task
from ragqa.types import Example, Hit
from ragqa.windows import lay_out, load_tokenizer, pad

MEASURES: dict[str, Measure] = {"nDCG@10": ndcg(10), "recall@1": recall(1)}
WEIGHTS = tuple(round(0.05 * step, 2) for step in range(21))
_ALONE, _WITHOUT = Mixture(1.0), Mixture(0.0)
_BATCH = 32


def examples(run: RerankerRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``."""
    return checking.readable(run, on_bad, Literacy.understands)


def task(run: RerankerRun, split: Split, report: Report) -> Task:
    """The reranker of ``run``."""
    model, start = initial(PairModel, run)
    objective = PairObjective(
        load_tokenizer(backbone.resolve(run.backbone)),
        negatives=run.negatives,
        listwise=run.listwise,
        smoothing=run.label_smoothing,
    )
    # What is judged and fitted are the hits and scores of the search that serves, whatever mines.
    is_hybrid = run.mining.retriever == "hybrid"
    serving = run.mining if is_hybrid else MiningConfig(retriever="hybrid")
    questions = [*split.training, *split.validation, *split.test]
    own = data.distinct_passages(questions)
    passages = data.filled(own, data.corpus(run.data, questions), run.passages, run.split_seed)
    report({"stage": "encoding passages", "passages": len(passages)})
    retriever = searched(split, serving, passages)
    mines = retriever if is_hybrid else searched(split, run.mining, passages)
    held_out = shuffled([e for e in split.validation if e.positives], run.split_seed)
    validation = _Ranked.of(held_out[: run.validation_questions], retriever, run.candidates)
    return Task(
        model,
        objective,
        mined(split, mines, run.hard_negatives, run.mining, report),
        "nDCG@10",
        lambda m: float(np.mean(validation.scores(validation.judged(m, objective), _ALONE)["nDCG@10"])),
        goes_on=goes_on(PairModel, run),
        save=lambda folder, tensors, best: store(
            PairModel, run, start, folder, tensors, {"best_validation_ndcg": round(best, 4)}
        ),
        finish=lambda folder: _fit(
            folder,
            _Ranked.of(held_out[: run.fitting_questions], retriever, run.candidates),
            objective,
            report,
        ),
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

    def scores(self, judged: Sequence[Sequence[float]], mixture: Mixture) -> Scores:
        """Each measure for each question, when what the model said is mixed so with the retrievers' scores."""
        found: dict[str, list[float]] = {name: [] for name in MEASURES}
        for example, hits, mine in zip(self.examples, self.hits, judged, strict=True):
            ranked = combined(hits, mine, mixture)
            ranking = [hit.passage.id for hit in ranked]
            right = {p.id: 1 for p in example.positives}
            for name, measure in MEASURES.items():
                found[name].append(measure(ranking, right))
        return found


def _fit(folder: Path, held_out: _Ranked, objective: PairObjective, report: Report) -> None:
    """Store how far apart the model's scores usually lie, and the weight that the smoothed curve of nDCG@10 favours.

    It is 0 where that is as good within noise.
    """
    judged = held_out.judged(placed(PairModel.load(folder)), objective)
    spread = round(float(np.mean([max(mine) - min(mine) for mine in judged if mine])), 3) or 1.0
    scores = np.array([held_out.scores(judged, Mixture(w, spread))["nDCG@10"] for w in WEIGHTS]).T
    passages = [example.positives[0].id for example in held_out.examples]
    means = scores.mean(axis=0)
    chosen = int(smoothed(means).argmax())
    if as_good(scores[:, [0, chosen]], passages)[0]:
        chosen = 0
    curve = {str(w): round(float(mean), 4) for w, mean in zip(WEIGHTS, means, strict=True)}
    values = {
        "weight": WEIGHTS[chosen],
        "spread": spread,
        "questions": len(judged),
        "ndcg@10 by weight": curve,
    }
    (folder / FITTED).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    report(
        {
            "weight": WEIGHTS[chosen],
            "ndcg@10": round(float(means[chosen]), 4),
            "without": round(float(means[0]), 4),
        }
    )
    if chosen == 0:
        report({"no gain": "no better than the order of the retrievers, which this reranker leaves as it is"})


def _compare(
    folder: Path, split: Split, retriever: Retrieves, candidates: int, objective: PairObjective
) -> Comparison | None:
    """The hits of the test part's questions as the retriever ranks them, and as the stored reranker does."""
    asked = [e for e in split.test if e.positives]
    if not asked:
        return None
    ranked = _Ranked.of(asked, retriever, candidates)
    judged = ranked.judged(placed(PairModel.load(folder)), objective)
    return compare(ranked.scores(judged, _WITHOUT), ranked.scores(judged, fitted_mixture(folder)), asked)
