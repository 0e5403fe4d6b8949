"""``ragqa doctor`` says what this machine has, and what is missing."""

from pathlib import Path
from typing import Any

import pytest

from ragqa.errors import ModelError


def test_everything_is_present_here(ragqa: Any) -> None:
    done = ragqa("doctor")
    assert done.code == 0
    assert "MISSING" not in done.out
    for part in (
        "processor",
        "precision",
        "pretrained/reranker",
        "pretrained/choice",
        "all-MiniLM-L6-v2",
        "readers: auto, extractive",
        ".pdf",
        "openvino 20",
    ):
        assert part in done.out


def test_what_is_missing_is_named_and_the_rest_still_shown(
    ragqa: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise ModelError("no weights here", next_step="reinstall them")

    monkeypatch.setattr("ragqa.backbone.verify", missing)
    done = ragqa("doctor")
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "MISSING" in line]
    assert "reinstall them" in line
    assert "packages" in done.out


def test_a_cache_that_cannot_be_written_is_missing(
    ragqa: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "file"))
    done = ragqa("doctor")
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("cache ")]
    assert "MISSING" in line
    assert "set RAGQA_CACHE" in line
