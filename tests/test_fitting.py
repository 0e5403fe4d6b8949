"""Fitted settings: what is chosen without a fold knows nothing of it, and a replayed answer is a real one."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ragqa import data, fitting
from ragqa.config import FusionConfig
from ragqa.errors import ConfigError, DataError, UsageError
from ragqa.evaluating import passes
from ragqa.evaluation import folds
from ragqa.evaluation.answers import RIGHT_F1, f1
from ragqa.evaluation.fusing import RankedLeg
from ragqa.fitted import FOLDS, Found, Questions
from ragqa.fitting_fusion import fit_fusion
from ragqa.fitting_reader import _fit_reading, _Reads, fit_reader
from ragqa.gold import Located, locate
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.replaying import Replay
from ragqa.types import Example, Passage, Query

pytestmark = pytest.mark.usefixtures("few_counts")

PRESENT = FusionConfig(method="convex", dense_weight=0.5, candidates=200)


def refuse(fault: Exception) -> None:
    raise fault


def leg(**scores: float) -> RankedLeg:
    """Rows by name: ``gold`` is row 1, ``decoy`` row 0."""
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    rows = np.array([("decoy", "gold").index(name) for name, _ in ordered], dtype=np.int64)
    return RankedLeg(rows, np.array([score for _, score in ordered]))


BY_TERMS = (leg(decoy=1.0, gold=0.2), leg(gold=10.0, decoy=9.7))
"""Found by BM25 alone: a twentieth of the dense leg is enough to lose it."""
BY_MEANING = (leg(gold=1.0, decoy=0.97), leg(decoy=10.0, gold=2.0))


def questions(*legs: tuple[RankedLeg, RankedLeg]) -> Questions:
    groups = [f"document {number}" for number in range(len(legs))]
    asked = [Located(Example(Query("?")), (1,), None) for _ in legs]
    return Questions(asked, legs, groups, folds.by_group(groups, FOLDS))


def test_where_one_leg_is_right_the_other_one_gets_no_weight() -> None:
    found = Found()
    assert {one.dense_weight for one in fit_fusion(questions(*[BY_TERMS] * 20), PRESENT, found)} == {0.0}
    (gain,) = found.gains
    assert [gain.before, gain.after] == pytest.approx([0.6309, 1.0], abs=1e-4)
    assert found.values == {"fusion.dense_weight": 0.0, "fusion.candidates": 200}
    assert fit_fusion(questions(*[BY_MEANING] * 20), PRESENT, Found())[0].dense_weight == 1.0


def test_what_is_chosen_without_a_fold_knows_nothing_of_it() -> None:
    every = questions(*[BY_TERMS] * 20)
    turned = every.fold_of == 0
    legs = [BY_MEANING if other else BY_TERMS for other in turned]
    found = Found()
    chosen = fit_fusion(Questions(every.asked, legs, every.groups, every.fold_of), PRESENT, found)
    assert chosen[1].dense_weight == 0.0  # 16 questions all for BM25
    # These four are judged under what the others chose, and pay for it.
    assert found.gains[0].after == pytest.approx((16 + 4 * 0.6309) / 20, abs=1e-4)


def leans(dense_gold: float, dense_decoy: float, gold: float, decoy: float) -> tuple[RankedLeg, RankedLeg]:
    return leg(gold=dense_gold, decoy=dense_decoy), leg(gold=gold, decoy=decoy)


LIGHT = leans(0.6, 1.0, 10.0, 4.4)  # right below a weight of 0.6
HEAVY = leans(1.0, 0.6, 3.0, 10.0)  # right above 0.64
NEARLY_ALL = leans(0.9, 1.0, 10.0, 1.0)  # right below 0.9


def test_made_questions_only_mend_a_fusion_that_loses_to_a_leg() -> None:
    """Left alone they would move the weight: on SQuAD from 0.5 to 0.75, which cost real questions 0.04 of nDCG@10."""
    found = Found()
    broken = fit_fusion(questions(*[BY_TERMS] * 20), PRESENT, found, mend_only=True)
    assert {one.dense_weight for one in broken} == {0.0}
    assert not found.notes
    # Right are 12 of 20 at 0.5 and by BM25 alone, 19 between 0.65 and 0.85, and 8 by dense alone.
    better_elsewhere = questions(*[HEAVY] * 8, LIGHT, *[NEARLY_ALL] * 11)
    moved = fit_fusion(better_elsewhere, PRESENT, Found())
    assert 0.65 <= moved[0].dense_weight <= 0.85
    stays = fit_fusion(better_elsewhere, PRESENT, found, mend_only=True)
    assert {one.dense_weight for one in stays} == {PRESENT.dense_weight}
    assert "real questions" in found.notes[0]


def unsteady() -> tuple[list[int], npt.NDArray[np.int64]]:
    """The kind and fold of 25 questions: all folds but the first speak for a change, and the first pays for it.

    Kind 0 is right under the present value alone, 1 under the other one alone, 2 under both.
    """
    kinds = [0] * 4 + [2] + 4 * [1, 1, 1, 0, 2]
    return kinds, np.repeat(np.arange(FOLDS), 5)


def test_the_gain_told_is_that_of_the_fusion_that_stays() -> None:
    kinds, fold_of = unsteady()
    groups = [f"document {number}" for number in range(25)]
    asked = [Located(Example(Query("?")), (1,), None) for _ in kinds]
    legs = [(LIGHT, HEAVY, NEARLY_ALL)[kind] for kind in kinds]
    found = Found()
    chosen = fit_fusion(Questions(asked, legs, groups, fold_of), PRESENT, found)
    assert found.notes == ["left-out questions speak against another fusion: the present one stays"]
    assert {one.dense_weight for one in chosen} == {0.5}
    assert found.gains[0].after == found.gains[0].before


def test_the_gain_told_is_that_of_the_reading_that_stays() -> None:
    kinds, fold_of = unsteady()

    class Known:
        """F1 by kind: 5 passages are the present ones, 8 the others."""

        def f1s(self, fusion: FusionConfig, top_k: int, weights: Sequence[float]) -> npt.NDArray[np.float64]:
            right = {5: (1, 0, 1), 8: (0, 1, 1)}.get(top_k, (0, 0, 0))
            return np.array([[float(right[kind])] * len(weights) for kind in kinds])

    asked = [Located(Example(Query("?"), ("yes",)), (1,), None) for _ in kinds]
    every = Questions(asked, [BY_TERMS] * 25, [f"document {number}" for number in range(25)], fold_of)
    replay: Any = Known()
    found, present = Found(), _Reads(PRESENT, 5, 5.0)
    assert {one.top_k for one in _fit_reading(replay, every, [PRESENT] * (FOLDS + 1), present, found)} == {5}
    assert found.notes[0].startswith("left-out questions speak against another top_k")
    assert found.gains[0].after == found.gains[0].before


def test_a_part_put_aside_is_judged_and_not_fitted_on() -> None:
    every = questions(*[BY_TERMS] * 20, *[BY_MEANING] * 40)
    fold_of = np.append(every.fold_of[:20] % FOLDS, np.full(40, -1))
    fold_of[:20] = np.arange(20) % FOLDS
    found = Found()
    fit_fusion(Questions(every.asked, every.legs, every.groups, fold_of), PRESENT, found)
    assert found.values["fusion.dense_weight"] == 0.0
    assert [(gain.where, gain.difference.n) for gain in found.gains] == [
        ("left-out questions", 20),
        ("test part", 40),
    ]
    assert found.gains[1].after == pytest.approx(0.6309, abs=1e-4)


@pytest.fixture(scope="module")
def pipeline(town: Path) -> Iterator[Pipeline]:
    with load_pipeline(town / "index") as opened:
        yield opened


@pytest.fixture(scope="module")
def replayed(pipeline: Pipeline, town: Path) -> tuple[Questions, Replay]:
    asked = list(locate(data.read_to_judge(town / "questions.jsonl"), pipeline.retriever.catalog, refuse))
    legs = fitting.legs_of(pipeline.retriever.search, asked, 400)
    groups = [str(number) for number in range(len(asked))]
    every = Questions(asked, legs, groups, folds.by_group(groups, FOLDS))
    return every, Replay(pipeline, asked, legs, 8, lambda done, of: None)


def test_a_replayed_answer_is_what_the_pipeline_says_with_these_settings(
    town: Path, replayed: tuple[Questions, Replay]
) -> None:
    every, replay = replayed
    for weight, top_k, retrieval_weight in ((0.5, 3, 5.0), (1.0, 8, 0.0)):
        fusion = PRESENT.model_copy(update={"dense_weight": weight})
        found = replay.candidates(fusion, top_k, retrieval_weight)
        settings = [
            f"fusion.dense_weight={weight}",
            f"top_k={top_k}",
            f"reader.retrieval_weight={retrieval_weight}",
        ]
        with load_pipeline(town / "index", overrides=settings) as real:
            answers = real.ask_many([one.example.query for one in every.asked])
        for number, (one, answer) in enumerate(zip(every.asked, answers, strict=True)):
            assert found.confidence[number] == pytest.approx(answer.confidence, abs=0.01)
            assert found.threshold[number] == answer.details["threshold"]
            assert found.right[number] == passes(one, answer.candidate, answer)
            if one.answerable:
                expected = f1(answer.candidate, one.example.answers)
                assert found.f1[number] == expected
                assert replay.f1s(fusion, top_k, (0.0, retrieval_weight))[number, 1] == expected


def test_a_chinese_sentence_that_holds_the_answer_is_a_right_one(told: Path) -> None:
    with load_pipeline(told) as pipeline:
        asked = [
            Located(Example(Query("苹果树在几月开花？"), (answer,)), (0,), None)
            for answer in ("四月", "五月")
        ]
        legs = fitting.legs_of(pipeline.retriever.search, asked, 400)
        found = Replay(pipeline, asked, legs, 3, lambda done, of: None).candidates(PRESENT, 3, 0.0)
    assert found.right.tolist() == [True, False]
    assert found.f1.max() < RIGHT_F1


def test_the_network_sees_each_pair_once(
    pipeline: Pipeline, replayed: tuple[Questions, Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    every, few = replayed[0], 6
    replay = Replay(pipeline, every.asked[:few], every.legs[:few], 8, lambda done, of: None)
    seen: list[tuple[str, str]] = []
    real = replay._reader.network.scored

    def scored(queries: Sequence[Query], passages: Sequence[Sequence[Passage]]) -> Sequence[Any]:
        seen.extend((q.text, p.id) for q, mine in zip(queries, passages, strict=True) for p in mine)
        return real(queries, passages)

    monkeypatch.setattr(replay._reader.network, "scored", scored)
    fusions = [PRESENT, PRESENT.model_copy(update={"dense_weight": 1.0})]
    for fusion in fusions:
        for top_k in (3, 8):
            replay.candidates(fusion, top_k, 5.0)
            replay.f1s(fusion, top_k, (0.0, 40.0))
    assert len(seen) == len(set(seen))
    assert 8 * few < len(seen) < 2 * 8 * few  # the hits of the two fusions overlap, and are not the same


def test_a_threshold_keeps_to_the_risk_or_says_what_would_do(
    pipeline: Pipeline, replayed: tuple[Questions, Replay]
) -> None:
    every, replay = replayed
    found = Found()
    fit_reader(pipeline, every, [PRESENT] * (FOLDS + 1), 0.3, found, lambda done, of: None)
    threshold = found.values["reader.threshold"]
    weight = float(next(c.chosen for c in found.curves if c.setting == "reader.retrieval_weight"))
    said = replay.candidates(PRESENT, found.values["top_k"], weight)
    shown = said.confidence >= threshold
    assert (shown & ~said.right).sum() <= 0.3 * shown.sum()
    assert shown.any()
    with pytest.raises(DataError, match="cannot be shown to hold") as fault:
        fit_reader(pipeline, every, [PRESENT] * (FOLDS + 1), 0.001, Found(), lambda done, of: None)
    least = float(fault.value.accepted.split()[0])
    fit_reader(pipeline, every, [PRESENT] * (FOLDS + 1), least, Found(), lambda done, of: None)


Change = Callable[[list[dict[str, object]]], list[dict[str, object]]]


def changed(town: Path, folder: Path, change: Change) -> Path:
    records = [
        json.loads(line) for line in (town / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    path = folder / "changed.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in change(records)), encoding="utf-8")
    return path


def test_without_questions_that_have_no_answer_the_threshold_stays(
    pipeline: Pipeline, town: Path, tmp_path: Path
) -> None:
    path = changed(town, tmp_path, lambda records: records[:24])
    fitted = fitting.fit(pipeline, path, on_bad=refuse)
    assert "reader.threshold" not in {curve.setting for curve in fitted.curves}
    assert "threshold" not in fitted.config.reader.options()
    assert any(note.startswith("the threshold stays") for note in fitted.notes)
    assert {gain.measure for gain in fitted.gains} == {"nDCG@10", "F1 before the threshold", "right verdicts"}
    assert fitted.config.encoder == pipeline.config.encoder


def test_of_a_beir_folder_the_training_part_is_fitted_on_and_the_test_part_judges(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    passages = list(pipeline.retriever.catalog.all_passages())
    files = {
        "corpus.jsonl": [{"_id": p.doc_id, "text": p.text, "title": ""} for p in passages],
        "queries.jsonl": [{"_id": str(n), "text": f"Where is {p.title}?"} for n, p in enumerate(passages)],
    }
    (tmp_path / "qrels").mkdir()
    for name, records in files.items():
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    for part, rows in (("train", range(20)), ("test", range(20, 24))):
        lines = [f"{n}\t{passages[n].doc_id}\t1" for n in rows]
        (tmp_path / "qrels" / f"{part}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n"
        )
    fitted = fitting.fit(pipeline, tmp_path, on_bad=refuse)
    assert fitted.questions == 20
    assert [(gain.where, gain.difference.n) for gain in fitted.gains] == [
        ("left-out questions", 20),
        ("test part", 4),
    ]
    assert {curve.questions for curve in fitted.curves} == {20}
    with pytest.raises(DataError, match="0 questions have an answer that can be judged"):
        fitting.fit(pipeline, tmp_path, max_risk=0.1, on_bad=refuse)
    (tmp_path / "qrels" / "train.tsv").unlink()
    with pytest.raises(DataError, match="4 questions of"):
        fitting.fit(pipeline, tmp_path, on_bad=refuse)


def test_questions_about_few_documents_are_left_out_by_passage_or_alone(
    pipeline: Pipeline, town: Path, tmp_path: Path
) -> None:
    path = changed(town, tmp_path, lambda records: [{**records[0], "id": str(n)} for n in range(20)])
    fitted = fitting.fit(pipeline, path, on_bad=refuse)
    assert any("each fold leaves out by question" in note for note in fitted.notes)


def test_what_cannot_be_fitted_is_refused(pipeline: Pipeline, town: Path, tmp_path: Path) -> None:
    lost: list[Exception] = []
    few = changed(town, tmp_path, lambda records: [*records[:19], {**records[20], "document": "sold.md"}])
    with pytest.raises(DataError, match=r"19 questions .* too few to cross-validate; accepted: at least 20"):
        fitting.fit(pipeline, few, on_bad=lost.append)
    assert [str(one) for one in lost] == [
        "question 'q20': the index does not hold its answer (sold.md); "
        "accepted: documents as they were when the question was written"
    ]
    for risk in (0.0, 1.0, -0.1):
        with pytest.raises(UsageError, match="above 0 and below 1"):
            fitting.fit(pipeline, few, max_risk=risk, on_bad=refuse)
    with pytest.raises(UsageError, match="answers are known"):
        fitting.fit(pipeline, None, max_risk=0.1, on_bad=refuse)
    with (
        load_pipeline(town / "index", overrides=["fusion.method=reciprocal_rank"]) as other,
        pytest.raises(ConfigError, match="reciprocal_rank has no weight to fit"),
    ):
        fitting.fit(other, few, on_bad=refuse)
