"""``ragqa tune``: the settings that are chosen when a question is asked, fitted on questions by cross-validation.

questions ──locate──▶ legs, searched once ──▶ nDCG under every weight and depth ──choose──▶ fusion
                                         └──▶ network, run once ──replay──▶ top_k, retrieval weight, threshold

Every setting is chosen on four fifths of the documents and judged on the questions about the others, in turn; what is
written is then chosen on all of them. ``evaluation.choosing`` holds the rule: the present value stays unless another is
better by more than noise.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import data, made_questions
from ragqa.catalog import Catalog
from ragqa.config import Config, FusionConfig
from ragqa.embedding import VECTORS
from ragqa.errors import ConfigError, DataError, UsageError
from ragqa.evaluation import folds
from ragqa.evaluation.fusing import RankedLeg
from ragqa.fitted import FOLDS, Fitted, Found, Questions
from ragqa.fitting_fusion import DEPTHS, fit_fusion
from ragqa.fitting_reader import fit_reader
from ragqa.gold import Located, locate
from ragqa.hybrid import HybridSearch, Leg
from ragqa.pipeline import Pipeline

LEAST = 20
"""Fewest questions to fit on: four in each fold."""

_AT_ONCE = 64
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def fit(
    pipeline: Pipeline,
    questions: Path | None,
    *,
    limit: int | None = None,
    max_risk: float | None = None,
    on_bad: Callable[[Exception], None],
    progress: Progress = lambda stage, done, of: None,
) -> Fitted:
    """Fit fusion weight and candidates and, where answers are known, top_k, retrieval weight and threshold.

    Args:
        questions: a file or folder as ``data.read_to_fit`` takes it; None for questions made from the documents.
        limit: only the first so many questions.
        max_risk: the greatest share of wrong answers among those given; None leaves the threshold to right verdicts.

    Raises:
        DataError: too few questions, or ``max_risk`` cannot be kept.
        ConfigError, UsageError: nothing can be fitted with these settings.
    """
    config = pipeline.config
    _check(config, questions, limit, max_risk)
    found, left_out = Found(), 0
    if questions is None:
        made = _made(pipeline, limit)
        asked, judging, search = list(made.questions), 0, made.search
        found.notes.append("the questions are sentences of the documents, not real ones")
    else:
        read, kept = data.read_to_fit(questions, on_bad)
        located = [list(locate(part, pipeline.retriever.catalog, on_bad)) for part in (read[:limit], kept)]
        asked, judging, search = [*located[0], *located[1]], len(located[1]), pipeline.retriever.search
        left_out = len(read[:limit]) + len(kept) - len(asked)
    fitted = len(asked) - judging
    _refuse_too_few(asked[:fitted], questions)
    groups, kind = _groups(asked, fitted, pipeline.retriever.catalog)
    if kind != "document":
        found.notes.append(
            f"the questions are about fewer than {FOLDS} documents: each fold leaves out by {kind}"
        )
    fold_of = np.append(folds.by_group(groups[:fitted], FOLDS), np.full(judging, -1))
    deepest = max(*DEPTHS, config.fusion.candidates, pipeline.reranker.candidates)
    every = Questions(asked, legs_of(search, asked, deepest, progress), groups, fold_of)
    fusions = fit_fusion(every, config.fusion, found, mend_only=questions is None)
    _fit_reader(pipeline, every, fusions, max_risk, found, progress)
    return Fitted(
        _with(config, found.values),
        tuple(found.curves),
        tuple(found.gains),
        fitted,
        left_out,
        tuple(found.notes),
        found.answers,
    )


def _made(pipeline: Pipeline, limit: int | None) -> made_questions.Made:
    """Questions out of the documents of the index."""
    retriever = pipeline.retriever
    return made_questions.make(
        list(retriever.catalog.all_passages()),
        np.load(retriever.generation.verified(VECTORS)),
        retriever.encoder,
        pipeline.config,
        limit or made_questions.COUNT,
    )


def _fit_reader(
    pipeline: Pipeline,
    every: Questions,
    fusions: Sequence[FusionConfig],
    max_risk: float | None,
    found: Found,
    progress: Progress,
) -> None:
    """Fit the reader's settings, where enough answers are known and the reader has such settings.

    Raises:
        DataError: ``max_risk`` is asked for, and too few answers are known or none keeps to it.
    """
    fitted, name = every.fold_of >= 0, pipeline.config.reader.name
    answerable = int((fitted & np.array([one.answerable for one in every.asked])).sum())
    if answerable >= LEAST and name == "extractive":
        judged = every.only(fitted & np.array([one.judged for one in every.asked]))
        fit_reader(pipeline, judged, fusions, max_risk, found, lambda done, of: progress("read", done, of))
    elif max_risk is not None:
        raise DataError(
            f"--max-risk {max_risk:g}: {answerable} questions have an answer that can be judged",
            accepted=f"at least {LEAST} questions with answers",
        )
    elif answerable:
        why = "so few questions have answers" if answerable < LEAST else f"not of the reader {name}"
        found.notes.append(f"only the retrieval is fitted: {why}")


def _check(config: Config, questions: Path | None, limit: int | None, max_risk: float | None) -> None:
    if config.fusion.method != "convex":
        raise ConfigError(
            f"fusion.method = {config.fusion.method} has no weight to fit",
            accepted="convex",
            next_step="--set fusion.method=convex",
        )
    least = made_questions.LEAST if questions is None else LEAST
    if limit is not None and limit < least:
        raise UsageError(
            f"--limit {limit} leaves too few questions to cross-validate",
            accepted=f"{least} or more{' without --data' if questions is None else ''}",
        )
    if max_risk is None:
        return
    if not 0 < max_risk < 1:
        raise UsageError(f"--max-risk {max_risk:g}", accepted="a share above 0 and below 1, as in 0.1")
    if questions is None:
        raise UsageError(
            "--max-risk needs questions whose answers are known", accepted="--data QUESTIONS.jsonl"
        )
    if config.reader.name != "extractive":
        raise UsageError(f"--max-risk: the reader is {config.reader.name}", accepted="the reader extractive")


def _refuse_too_few(asked: Sequence[Located], questions: Path | None) -> None:
    count = sum(bool(one.rows) for one in asked)
    if questions is None and count < made_questions.LEAST:
        raise DataError(
            f"{count} questions could be made from the documents, too few to cross-validate",
            accepted=f"at least {made_questions.LEAST}, or questions of your own",
            next_step="--data QUESTIONS.jsonl",
        )
    if questions is not None and count < LEAST:
        raise DataError(
            f"{count} questions of {questions} can be judged on this index, too few to cross-validate",
            accepted=f"at least {LEAST} questions whose passage is in the index",
            next_step="more questions, or ragqa tune without --data",
        )


def _groups(asked: Sequence[Located], fitted: int, catalog: Catalog) -> tuple[list[str], str]:
    """What each question belongs to, and of what kind that is: its document, or less where these are too few to fold.

    A question without a right passage stands alone.
    """
    alone = [f"question {number}" for number in range(len(asked))]
    documents, passages = list(alone), list(alone)
    for number, one in enumerate(asked):
        if one.rows:
            documents[number] = one.place[0] if one.place else catalog.passages(one.rows[:1])[0].doc_id
            passages[number] = f"row {one.rows[0]}"
    for kind, groups in (("document", documents), ("passage", passages)):
        if len({group for group, one in zip(groups[:fitted], asked, strict=False) if one.rows}) >= FOLDS:
            return groups, kind
    return alone, "question"


def legs_of(
    search: HybridSearch,
    asked: Sequence[Located],
    depth: int,
    progress: Progress = lambda stage, done, of: None,
) -> list[tuple[RankedLeg, RankedLeg]]:
    """Dense and BM25 leg of each question, ``depth`` rows each."""
    found: list[tuple[RankedLeg, RankedLeg]] = []
    for at in range(0, len(asked), _AT_ONCE):
        texts = [one.example.query.text for one in asked[at : at + _AT_ONCE]]
        found += [(_ranked(dense), _ranked(bm25)) for dense, bm25 in search.legs(texts, depth)]
        progress("search", len(found), len(asked))
    return found


def _ranked(leg: Leg) -> RankedLeg:
    rows = np.fromiter(leg.keys(), dtype=np.int64, count=len(leg))
    return RankedLeg(rows, np.fromiter(leg.values(), dtype=np.float64, count=len(leg)))


def _with(config: Config, values: dict[str, Any]) -> Config:
    """``config`` with the fitted values, by their dotted names, in place of its own."""
    changed = config.model_dump()
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (changed[section] if section else changed)[key] = value
    return Config.from_values(changed)
