"""The files that other tools read: ir_measures finds in them what was measured."""

from pathlib import Path
from typing import Any

import ir_measures
import pytest

from ragqa.evaluation import trec
from ragqa.evaluation.retrieval import average_precision, mean, ndcg, precision

RECORDS: list[dict[str, Any]] = [
    {"id": "line 1", "gold rows": [4, 9], "rankings": {"fused": [4, 1, 9], "dense": [1]}},
    {"id": "二", "gold rows": [2], "rankings": {"fused": [3, 1, 2]}},
    {"id": "unanswerable", "gold rows": [], "rankings": {"fused": [1]}},
]


def test_ir_measures_reads_the_files_and_agrees(tmp_path: Path) -> None:
    run, qrels = trec.run_of(RECORDS, "fused"), trec.qrels_of(RECORDS)
    (tmp_path / "run.txt").write_text(trec.run_lines(run, "ragqa"), encoding="utf-8")
    (tmp_path / "qrels.txt").write_text(trec.qrels_lines(qrels), encoding="utf-8")
    measures = {
        ir_measures.nDCG @ 10: ndcg(10),
        ir_measures.AP @ 10: average_precision(10),
        ir_measures.P @ 5: precision(5),
    }
    theirs = ir_measures.calc_aggregate(
        list(measures),
        ir_measures.read_trec_qrels(str(tmp_path / "qrels.txt")),
        ir_measures.read_trec_run(str(tmp_path / "run.txt")),
    )
    for measure, ours in measures.items():
        assert mean(ours, run, qrels) == pytest.approx(theirs[measure], abs=1e-6)
    assert all(len(line.split()) == 6 for line in (tmp_path / "run.txt").read_text().splitlines())


def test_a_ranking_that_a_question_lacks_is_empty() -> None:
    assert trec.run_of(RECORDS, "dense") == {"line 1": {"1": -0.0}, "二": {}, "unanswerable": {}}
