"""The generator on a backbone that only encodes: a decoder with a pointer on top of it, stored as ours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragqa import backbone
from ragqa.errors import TrainingError
from ragqa.evaluation.answers import exact_match, f1, rouge_l
from ragqa.models.placing import placed
from ragqa.models.pointer import PointerModel
from ragqa.pretrained import backbone_of
from ragqa.sources import MAX_WRITTEN_TOKENS
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.mining import mined, searched
from ragqa.training.objectives.pointing import PointingObjective
from ragqa.training.settings import GeneratorRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import before, goes_on, initial, store
from ragqa.training.task import Report, Task
from ragqa.types import Example
from ragqa.windows import load_tokenizer
from ragqa.writing import PointerWriter

MEASURES = {"F1": f1, "exact match": exact_match, "ROUGE-L": rouge_l}
_BATCH = 64


def pointer_task(run: GeneratorRun, split: Split, report: Report) -> Task:
    """The encoder–decoder of ``run``.

    Raises:
        TrainingError: longer answers than a decoder has positions, or a start on another backbone, or one that only
            adds to a third.
    """
    if run.max_answer_tokens > MAX_WRITTEN_TOKENS:
        raise TrainingError(
            f"max_answer_tokens is {run.max_answer_tokens}",
            accepted=f"at most {MAX_WRITTEN_TOKENS}, the positions of the decoder",
        )
    folder = backbone.resolve(run.backbone)
    model, start = initial(PointerModel, run, layers=run.decoder_layers)
    objective = PointingObjective(
        load_tokenizer(folder),
        passages=run.passages,
        unanswerable_share=run.unanswerable_share,
        question_share=run.question_share,
        max_answer_tokens=run.max_answer_tokens,
    )
    asked = shuffled([e for e in split.validation if e.answers and e.positives], run.split_seed)
    asked = asked[: run.validation_questions]
    return Task(
        model,
        objective,
        with_others(run, split, report),
        "F1",
        lambda m: float(np.mean(pointed_scores(m, objective, asked)["F1"])),
        goes_on=goes_on(PointerModel, run),
        save=lambda target, tensors, best: store(
            PointerModel,
            run,
            start,
            target,
            tensors,
            {"decoder_layers": len(model.head.decoder), "best_validation_f1": round(best, 4)},
        ),
        finish=lambda _: None,
        compare=lambda stored: _compare(run, stored, objective, split),
    )


def with_others(run: GeneratorRun, split: Split, report: Report) -> Sequence[Example]:
    """The training questions, with other passages mined where any are shown."""
    if run.passages == 1 and not run.unanswerable_share:
        return split.training
    return mined(split, searched(split, run.mining), run.passages, run.mining, report)


def pointed_scores(model: PointerModel, objective: PointingObjective, asked: Sequence[Example]) -> Scores:
    """Each measure of what ``model`` writes for each question with its own passage alone, in their order."""
    writer = PointerWriter(
        model, objective.tokenizer, max_answer_tokens=objective.max_answer_tokens, batch=_BATCH
    )
    drafts = writer.write([e.query.text for e in asked], [e.positives[:1] for e in asked])
    return {
        name: [measure(draft.text, e.answers) for draft, e in zip(drafts, asked, strict=True)]
        for name, measure in MEASURES.items()
    }


def _compare(
    run: GeneratorRun, stored: Path, objective: PointingObjective, split: Split
) -> Comparison | None:
    """The stored model beside the one it went on from, or beside the shipped one."""
    asked = [e for e in split.test if e.answers and e.positives]
    if not asked:
        return None
    earlier = before(PointerModel, run)
    other = PointingObjective(
        load_tokenizer(backbone_of(earlier)), max_answer_tokens=objective.max_answer_tokens
    )
    return compare(
        pointed_scores(placed(PointerModel.load(earlier)), other, asked),
        pointed_scores(placed(PointerModel.load(stored)), objective, asked),
        asked,
    )
