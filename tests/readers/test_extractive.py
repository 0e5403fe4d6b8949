"""The span reader as shipped, and the best sentence for questions in Chinese."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.errors import ConfigError, ModelError
from ragqa.quoting import LEXICAL_NOTE
from ragqa.readers.extractive import ExtractiveReader
from ragqa.types import Hit, Passage, Query

TEXT = "The Orchard Bridge was designed by Maria Keller. It opened in 1931 and cost two million crowns."
OTHER = "Herons stand in shallow water and wait for fish."
APPLE = "苹果树有哪些特点？苹果树在四月开花。果实在九月成熟。"


def hit(text: str, score: float = 0.5, start: int = 0, name: str = "doc", title: str = "") -> Hit:
    return Hit(Passage(name, start, start + len(text), text, title), score, {"dense": 0.5, "bm25": 2.0})


@pytest.fixture(scope="module")
def reader() -> ExtractiveReader:
    """The shipped reader; every answer is shown, however unsure."""
    return ExtractiveReader(threshold=0.0)


def test_a_citation_points_into_the_document(reader: ExtractiveReader) -> None:
    hits = [hit(OTHER, 0.4, name="birds"), hit(TEXT, 0.9, start=1000, title="Bridges")]
    (answer,) = reader.read([Query("Who designed the Orchard Bridge?")], [hits])
    (citation,) = answer.citations
    assert citation.doc_id == "doc"
    assert answer.text == citation.quote == TEXT[citation.start - 1000 : citation.end - 1000]
    assert "Keller" in citation.quote
    assert answer.sentence == "The Orchard Bridge was designed by Maria Keller."
    assert answer.hits == tuple(hits)
    assert answer.note == ""


def test_questions_are_read_apart(reader: ExtractiveReader) -> None:
    queries = [
        Query("Who designed the Orchard Bridge?"),
        Query("苹果树何时开花？"),
        Query("When did it open?"),
    ]
    hits = [[hit(TEXT)], [hit(APPLE)], [hit(TEXT)]]
    together = reader.read(queries, hits)
    for query, mine, answer in zip(queries, hits, together, strict=True):
        (alone,) = reader.read([query], [mine])
        assert (alone.text, alone.citations, alone.note) == (answer.text, answer.citations, answer.note)
        assert alone.confidence == pytest.approx(answer.confidence, abs=1e-3)
    assert reader.read([], []) == []


def test_a_passage_that_is_asked_twice_is_read_once(
    reader: ExtractiveReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_read: list[int] = []
    run = reader.network._runtime.run

    def counted(batches: Sequence[tuple[Any, Any, Any]]) -> Any:
        rows_read.extend(len(ids) for ids, *_ in batches)
        return run(batches)

    monkeypatch.setattr(reader.network._runtime, "run", counted)
    query, among = Query("Who designed the Orchard Bridge?"), [hit(OTHER), hit(TEXT)]
    both = reader.read([query, query], [among, [hit(TEXT)]])
    assert sum(rows_read) == 2
    assert [answer.text for answer in both] == ["Maria Keller", "Maria Keller"]
    rows_read.clear()
    reader.read([query, Query("Who built it?")], [[hit(TEXT)], [hit(TEXT)]])
    assert sum(rows_read) == 2  # for another question it reads otherwise


@pytest.mark.parametrize("query", ["Who designed it?", "谁设计的？"])
def test_without_hits_there_is_no_answer(reader: ExtractiveReader, query: str) -> None:
    (answer,) = reader.read([Query(query)], [[]])
    assert (answer.text, answer.confidence, answer.citations, answer.hits) == (None, 0.0, (), ())


def test_below_the_threshold_nothing_is_cited() -> None:
    (answer,) = ExtractiveReader(threshold=1.0).read([Query("Who?")], [[hit(OTHER)]])
    assert answer.text is None
    assert answer.citations == ()
    assert answer.hits
    assert answer.details["threshold"] == 1.0
    assert answer.candidate in OTHER


def test_an_answer_far_behind_the_first_window_is_found(reader: ExtractiveReader) -> None:
    text = "Nothing happened on that day in the town. " * 60 + TEXT
    (answer,) = reader.read([Query("Who designed the Orchard Bridge?")], [[hit(text)]])
    assert answer.text is not None
    assert "Keller" in answer.text


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), st.integers(0, 10**6))
def test_any_text_is_cited_exactly(reader: ExtractiveReader, text: str, start: int) -> None:
    (answer,) = reader.read([Query("What is it?")], [[hit(text, start=start)]])
    for citation in answer.citations:
        assert text[citation.start - start : citation.end - start] == citation.quote == answer.text
        assert citation.quote in answer.sentence


def test_a_chinese_question_gets_the_sentence_that_shares_most(reader: ExtractiveReader) -> None:
    hits = [hit(OTHER, 0.9), hit(APPLE, 0.5, start=70)]
    (answer,) = reader.read([Query("苹果树什么时候开花？")], [hits])
    assert answer.text == "苹果树在四月开花。"  # neither the question at the start nor the other sentence
    assert answer.note == LEXICAL_NOTE
    (citation,) = answer.citations
    assert APPLE[citation.start - 70 : citation.end - 70] == citation.quote


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        ExtractiveReader(threshold=threshold)


def test_a_folder_without_a_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        ExtractiveReader(model=str(tmp_path))
    assert str(tmp_path) in caught.value.found
    assert "ragqa finetune reader" in caught.value.accepted


@pytest.mark.parametrize("calibration", ["", "{}", "[]", '{"retrieval_weight": 1, "span": {"bias": 0}}'])
def test_a_broken_calibration_is_named(tmp_path: Path, calibration: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"backbone": "builtin"}', encoding="utf-8")
    (tmp_path / "calibration.json").write_text(calibration, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        ExtractiveReader(model=str(tmp_path))
    assert str(tmp_path / "calibration.json") in caught.value.found
    assert caught.value.next_step


@pytest.mark.parametrize(
    "options", [{"max_answer_tokens": 0}, {"max_answer_tokens": -5}, {"retrieval_weight": float("nan")}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="accepted: "):
        ExtractiveReader(**options)  # type: ignore[arg-type]
