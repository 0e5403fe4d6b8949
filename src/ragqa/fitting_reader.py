"""The second stage of ``ragqa tune``: top_k and retrieval weight by F1, then the threshold by what is asked of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from ragqa.calibration import RETRIEVAL_WEIGHTS
from ragqa.config import FusionConfig
from ragqa.errors import DataError
from ragqa.evaluation.choosing import as_good, least_risk, middle, nearest, threshold_for_risk
from ragqa.fitted import LEFT_OUT, Curve, Flags, Floats, Found, Given, Questions, worse
from ragqa.pipeline import Pipeline
from ragqa.readers.extractive import ExtractiveReader
from ragqa.replaying import Candidates, Replay

TOP_K = (3, 5, 8, 10, 15, 20)
THRESHOLDS = tuple(number / 20 for number in range(20))

LEAST_UNANSWERED = 10
"""Fewest questions without an answer to choose a threshold by right verdicts: with none, all would be answered."""


@dataclass(frozen=True, slots=True)
class _Reads:
    """What a reader is given and how it chooses."""

    fusion: FusionConfig
    top_k: int
    weight: float


def fit_reader(
    pipeline: Pipeline,
    mine: Questions,
    fusions: Sequence[FusionConfig],
    max_risk: float | None,
    found: Found,
    progress: Callable[[int, int], None],
) -> None:
    """Fit the reader's settings, given the fusion chosen on each part; curves and gains go to ``found``.

    Raises:
        DataError: no threshold keeps to ``max_risk``.
    """
    reader, config = pipeline.reader, pipeline.config
    if not isinstance(reader, ExtractiveReader):
        raise TypeError(f"{type(reader).__name__} reads no spans")
    deepest = max(*TOP_K, config.top_k)
    replay = Replay(pipeline, mine.asked, mine.legs, deepest, progress)
    present = _Reads(config.fusion, config.top_k, reader.retrieval_weight)
    chosen = _fit_reading(replay, mine, fusions, present, found)
    before = replay.candidates(present.fusion, present.top_k, present.weight)
    after = {one: replay.candidates(one.fusion, one.top_k, one.weight) for one in dict.fromkeys(chosen)}
    _fit_threshold(mine, before, [after[one] for one in chosen], reader.threshold, max_risk, found)


def _fit_reading(
    replay: Replay, mine: Questions, fusions: Sequence[FusionConfig], present: _Reads, found: Found
) -> list[_Reads]:
    """What is read on each part, ``top_k`` first and then the retrieval weight, by F1 before the threshold."""
    answerable = np.array([one.answerable for one in mine.asked])
    counts = tuple(sorted({*TOP_K, present.top_k}))
    weights = tuple(sorted({*RETRIEVAL_WEIGHTS, present.weight}))
    k0, w0 = counts.index(present.top_k), weights.index(present.weight)
    scores = {
        fusion: np.stack([replay.f1s(fusion, count, weights) for count in counts], axis=1)
        for fusion in dict.fromkeys([*fusions, present.fusion])
    }  # (N, counts, weights) each

    def pick(part: Flags, fusion: FusionConfig) -> tuple[int, int]:
        part = part & answerable
        groups, f1 = mine.groups_of(part), scores[fusion][part]
        k = nearest(as_good(f1[:, :, w0], groups), counts, k0)
        return k, middle(as_good(f1[:, k], groups), weights, w0)

    def left_out(picks: Sequence[tuple[int, int]]) -> Floats:
        columns = [scores[f][:, k, w] for f, (k, w) in zip(fusions, picks, strict=True)]
        f1: Floats = mine.left_out(columns)[answerable]
        return f1

    picks = [pick(part, fusion) for part, fusion in zip(mine.parts, fusions, strict=True)]
    stay = [(k0, w0)] * len(picks)
    if worse(left_out(stay), left_out(picks)):
        found.notes.append(
            "left-out questions speak against another top_k or retrieval weight: the present ones stay"
        )
        picks = stay
    before = scores[present.fusion][answerable, k0, w0]
    found.tell("F1 before the threshold", LEFT_OUT, before, left_out(picks), mine.groups_of(answerable))
    k, w = picks[0]
    means, count = scores[fusions[0]][answerable].mean(axis=0), int(answerable.sum())
    found.curves += [
        Curve("top_k", counts, {"F1": tuple(means[:, w0].tolist())}, present.top_k, counts[k], count),
        Curve(
            "reader.retrieval_weight",
            weights,
            {"F1": tuple(means[k].tolist())},
            present.weight,
            weights[w],
            count,
        ),
    ]
    found.values["top_k"] = counts[k]
    if counts[k] > present.top_k:
        found.notes.append(
            f"the reader reads {counts[k]} passages a question instead of {present.top_k}, and takes longer"
        )
    if w != w0:  # else the model's own stands, whichever model that will be
        found.values["reader.retrieval_weight"] = weights[w]
    return [_Reads(f, counts[k], weights[w]) for f, (k, w) in zip(fusions, picks, strict=True)]


def _fit_threshold(
    mine: Questions,
    before: Candidates,
    after: Sequence[Candidates],
    present: float,
    max_risk: float | None,
    found: Found,
) -> None:
    """The least confidence of an answer, chosen on each part from the candidates there."""
    now = [one.confidence >= one.threshold for one in after]
    unanswered = int((~before.answerable).sum())
    if max_risk is not None:
        given = _by_risk(mine, after, max_risk, found)
    elif unanswered >= LEAST_UNANSWERED:
        given = _by_verdicts(mine, after, now, present, found)
    else:
        given = now
        found.notes.append(
            f"the threshold stays: the documents have no answer to {unanswered} questions, "
            f"and it takes {LEAST_UNANSWERED} of them, or --max-risk"
        )
    if max_risk is not None or unanswered >= LEAST_UNANSWERED:
        chosen = float(found.values.get("reader.threshold", present))
        found.curves.append(_curve(after[0], now[0], present, chosen))
    first, then = before.confidence >= before.threshold, mine.left_out(given)
    right = mine.left_out([one.right for one in after])
    stood = _verdicts(first, before.right, before.answerable)
    stands = _verdicts(then, right, before.answerable)
    found.tell("right verdicts", LEFT_OUT, stood, stands, mine.groups)
    found.answers = (_given(first, before.right), _given(then, right))


def _by_risk(mine: Questions, after: Sequence[Candidates], max_risk: float, found: Found) -> list[Flags]:
    """The answers given under the threshold that answers most and keeps to ``max_risk``, on each part.

    Raises:
        DataError: there is none on all questions; a part without one gives no answer.
    """
    levels = [
        threshold_for_risk(one.confidence[part], one.right[part], max_risk)
        for part, one in zip(mine.parts, after, strict=True)
    ]
    if levels[0] is None:
        least = least_risk(after[0].confidence, after[0].right)
        raise DataError(
            f"--max-risk {max_risk:g} cannot be shown to hold on {len(mine.asked)} questions",
            accepted=f"{least + 0.0005:.3f} or more",
            next_step="more questions, or a better reader: ragqa finetune reader --help",
        )
    found.values["reader.threshold"] = levels[0]
    return [
        one.confidence >= (inf if level is None else level) for one, level in zip(after, levels, strict=True)
    ]


def _by_verdicts(
    mine: Questions, after: Sequence[Candidates], now: Sequence[Flags], present: float, found: Found
) -> list[Flags]:
    """The answers given under the threshold with most right verdicts, within noise, on each part."""
    values = tuple(sorted({*THRESHOLDS, present}))
    place = values.index(present)
    shown = [_shown(one, here, values, place) for one, here in zip(after, now, strict=True)]
    scores = [
        _verdicts(columns, one.right[:, None], one.answerable[:, None])
        for columns, one in zip(shown, after, strict=True)
    ]
    picks = [
        middle(as_good(score[part], mine.groups_of(part)), values, place)
        for score, part in zip(scores, mine.parts, strict=True)
    ]
    stays = mine.left_out([score[:, place] for score in scores])
    if worse(stays, mine.left_out([score[:, t] for score, t in zip(scores, picks, strict=True)])):
        found.notes.append("left-out questions speak against another threshold: the present one stays")
        picks = [place] * len(picks)
    if picks[0] != place:
        found.values["reader.threshold"] = values[picks[0]]
    return [columns[:, t] for columns, t in zip(shown, picks, strict=True)]


def _curve(candidates: Candidates, now: Flags, present: float, chosen: float) -> Curve:
    values = tuple(sorted({*THRESHOLDS, present, chosen}))
    shown = _shown(candidates, now, values, values.index(present))
    right, answerable = candidates.right[:, None], candidates.answerable[:, None]
    wrong = (shown & ~right).sum(axis=0) / np.maximum(1, shown.sum(axis=0))
    scores = {
        "right": _verdicts(shown, right, answerable).mean(axis=0),
        "answered": shown.mean(axis=0),
        "errors": wrong,
    }
    columns = {name: tuple(column.tolist()) for name, column in scores.items()}
    return Curve("reader.threshold", values, columns, present, chosen, len(right))


def _shown(candidates: Candidates, now: Flags, values: Sequence[float], place: int) -> Flags:
    """Which questions get an answer under each threshold, (N, T); ``now`` under the present one at ``place``.

    The present one is not a mere number where questions in Han characters have a threshold of their own.
    """
    shown: Flags = candidates.confidence[:, None] >= np.array(values)
    shown[:, place] = now
    return shown


def _verdicts(given: Flags, right: Flags, answerable: Flags) -> Floats:
    """1 where a right answer was given, or none where the documents have none; else 0."""
    return np.where(given, right, ~answerable).astype(np.float64)


def _given(given: Flags, right: Flags) -> Given:
    return Given(len(given), int(given.sum()), int((given & ~right).sum()))
