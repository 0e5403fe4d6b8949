"""``ragqa search`` shows the hits as they stand in the index."""

import json
from pathlib import Path
from typing import Any

import pytest

from ragqa.pipeline import load_pipeline
from ragqa.types import Query


def test_json_hits_are_those_of_the_library(ragqa: Any, at_home: Path) -> None:
    record = json.loads(ragqa("search", "orchard bridge", "--json").out)
    with load_pipeline(at_home / "indexes" / "default") as pipeline:
        (hits,) = pipeline.retrieve([Query("orchard bridge")])
    assert record.keys() == {"query", "hits"}
    assert [(h["document"], h["start"], h["end"], h["text"]) for h in record["hits"]] == [
        (h.passage.doc_id, h.passage.start, h.passage.end, h.passage.text) for h in hits
    ]
    assert [h["score"] for h in record["hits"]] == pytest.approx([h.score for h in hits], abs=1e-6)


def test_each_hit_shows_rank_score_place_and_legs(ragqa: Any, at_home: Path) -> None:
    done = ragqa("search", "orchard bridge", "--top-k", "1")
    assert done.code == 0
    head, legs, *text = done.out.splitlines()
    assert head.startswith(" 1. ")
    assert "docs/bridge.md › The Orchard Bridge" in head
    assert "dense " in legs
    assert "bm25 " in legs
    assert "designed by Maria Keller" in " ".join(text)


def test_bad_arguments_are_usage_errors(ragqa: Any, at_home: Path) -> None:
    assert ragqa("search", "").code == 2
    assert ragqa("search", "x", "--top-k", "0").code == 2
