"""The speed of single questions, over a pipeline whose stages take a known time."""

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ragqa import speed
from ragqa.evaluation.latency import lines, quantiles
from ragqa.hybrid import Timings
from ragqa.pipeline import Pipeline
from ragqa.types import Hit, Passage, Query


class Slow:
    """Takes 1 ms to encode, and to read as many as the question says."""

    def __init__(self) -> None:
        self.timings = Timings()
        self.asked: list[str] = []

    def retrieve(self, queries: Sequence[Query]) -> None:
        with self.timings.stage("encode"):
            time.sleep(0.001)

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> None:
        self.asked += [
            f"{query.text} in {mine[0].passage.text}" for query, mine in zip(queries, hits, strict=True)
        ]
        with self.timings.stage("read"):
            time.sleep(0.001)

    def ask_many(self, queries: Sequence[Query]) -> None:
        self.asked += [query.text for query in queries]
        self.retrieve(queries)
        with self.timings.stage("read"):
            time.sleep(float(queries[0].text) / 1000)


def measured(pipeline: Slow, texts: Sequence[str], **more: Any) -> dict[str, Any]:
    return speed.measure(cast(Pipeline, pipeline), [Query(text) for text in texts], **more)


def test_each_stage_has_its_time_and_the_stages_make_the_total() -> None:
    found = measured(Slow(), ["4"] * 9)
    ms = found["milliseconds"]
    assert list(ms) == ["encode", "read", "total"]
    assert 4 <= ms["read"]["p50"] < ms["total"]["p50"]
    assert ms["total"]["p50"] >= ms["read"]["p50"] + 1
    assert found["questions"] == 9
    assert 0 < found["questions a second"] < 1000 / 5
    assert 10 < found["peak memory in MB"] < 100_000
    assert "Milliseconds a question (9 asked one by one)" in lines(found)[0]


def test_the_sample_is_the_same_each_time_and_the_first_is_asked_before_to_warm_up() -> None:
    one, other = Slow(), Slow()
    texts = [str(number / 1000) for number in range(200)]
    assert measured(one, texts)["questions"] == measured(other, texts)["questions"] == speed.SAMPLE
    assert one.asked == other.asked
    assert one.asked[0] == one.asked[1]
    assert len(set(one.asked[1:])) == speed.SAMPLE


def test_a_question_with_a_passage_of_its_own_is_read_with_that_alone() -> None:
    slow = Slow()
    own = {text: [Hit(Passage("town.md", 0, 4, f"mill{text}"), 1.0)] for text in ("7", "8")}
    found = measured(slow, ["7", "8"], given=lambda query: own[query.text])
    assert list(found["milliseconds"]) == ["read", "total"]
    assert sorted(slow.asked[1:]) == ["7 in mill7", "8 in mill8"]


def test_it_ends_in_time_and_without_the_reader_where_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "MOST_SECONDS", 0.02)
    assert 1 <= measured(Slow(), ["15"] * 50)["questions"] <= 3
    assert list(measured(Slow(), ["15"], read=False)["milliseconds"]) == ["encode", "total"]


def test_quantiles_by_hand() -> None:
    assert quantiles([4, 1, 3, 2]) == {"p50": 2.5, "p95": 3.85, "p99": 3.97}
    assert quantiles([7]) == dict.fromkeys(("p50", "p95", "p99"), 7.0)
    with pytest.raises(ValueError, match="no times"):
        quantiles([])
