"""The measures against ir_measures (trec_eval) on random runs with ties."""

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.evaluation.retrieval import (
    Qrels,
    Run,
    average_precision,
    hit_rate,
    mean,
    ndcg,
    per_query,
    precision,
    ranked,
    recall,
    reciprocal_rank,
)

documents = st.integers(0, 25).map(str)
queries = st.sampled_from(["q1", "q2", "q10"])
# Few values, all exact in float32: trec_eval keeps scores in single precision.
runs = st.dictionaries(
    queries, st.dictionaries(documents, st.integers(-4, 4).map(lambda n: n / 4), min_size=1)
)
judgements = st.dictionaries(queries, st.dictionaries(documents, st.integers(0, 3), min_size=1), min_size=1)


@settings(max_examples=80, deadline=None)
@given(runs, judgements, st.sampled_from([1, 3, 10]))
def test_every_measure_is_that_of_trec_eval(run: Run, qrels: Qrels, k: int) -> None:
    theirs = {
        ir_measures.nDCG @ k: ndcg(k),
        ir_measures.R @ k: recall(k),
        ir_measures.P @ k: precision(k),
        ir_measures.Success @ k: hit_rate(k),
        ir_measures.AP @ k: average_precision(k),
        ir_measures.RR: reciprocal_rank(
            100
        ),  # with a cutoff ir_measures asks another tool, which breaks ties its way
    }
    found = {
        (value.measure, value.query_id): value.value
        for value in ir_measures.iter_calc(list(theirs), qrels, run)
    }
    for measure, ours in theirs.items():
        for query, value in per_query(ours, run, qrels).items():
            assert value == pytest.approx(found.get((measure, query), 0.0), abs=1e-6)


def test_worked_values() -> None:
    qrels, run = {"q": {"a": 2, "b": 1, "z": 0}}, {"q": {"z": 3.0, "a": 2.0, "c": 1.0}}
    assert mean(ndcg(10), run, qrels) == pytest.approx((2 / 1.5849625) / (2 + 1 / 1.5849625))
    assert mean(recall(2), run, qrels) == 0.5
    assert mean(reciprocal_rank(10), run, qrels) == 0.5
    assert mean(reciprocal_rank(1), run, qrels) == 0.0


def test_a_query_that_the_run_leaves_out_counts_as_zero() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}}
    assert mean(recall(5), {"q1": {"a": 1.0}}, qrels) == 0.5


def test_a_measure_reads_the_ranking_as_it_stands() -> None:
    assert [recall(1)(list(order), {"a": 1}) for order in ("ab", "ba", "")] == [1.0, 0.0, 0.0]


def test_equal_scores_are_broken_by_the_greater_id() -> None:
    assert ranked({"a": 1.0, "c": 1.0, "b": 2.0}) == ["b", "c", "a"]


def test_a_mean_over_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="judged"):
        mean(ndcg(10), {}, {})
