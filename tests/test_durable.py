"""A folder that is filled beside its place and then takes it, whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from ragqa.durable import whole_folder


def filled(place: Path, text: str) -> Path:
    place.mkdir()
    (place / "file").write_text(text)
    return place


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_new_folder_takes_the_place_and_the_one_before_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "model"
    for text in ("first", "second", "third"):
        with whole_folder(place) as partial:
            assert not place.exists() or (place / "file").read_text() != text
            (partial / "file").write_text(text)
    assert (place / "file").read_text() == "third"
    assert (tmp_path / "model.before" / "file").read_text() == "second"
    assert names(tmp_path) == {"model", "model.before"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_while_it_is_filled_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    place = filled(tmp_path / "model", "kept")

    def fill() -> None:
        with whole_folder(place) as partial:
            (partial / "file").write_text("half")
            raise error

    with pytest.raises(error):
        fill()
    assert (place / "file").read_text() == "kept"
    assert names(tmp_path) == {"model"}


def test_an_exchange_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = filled(tmp_path / "model", "kept")
    honest = os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(source).name == "model.partial":
            raise OSError(16, "Device or resource busy")
        honest(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="busy"), whole_folder(place) as partial:
        (partial / "file").write_text("new")
    assert (place / "file").read_text() == "kept"
    assert names(tmp_path) == {"model"}


def test_what_a_killed_process_left_half_filled_is_begun_anew(tmp_path: Path) -> None:
    filled(tmp_path / "model.partial", "half")
    with whole_folder(tmp_path / "model") as partial:
        assert names(partial) == set()
    assert names(tmp_path) == {"model"}


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tmp_path / "gone")
    with whole_folder(tmp_path / "model") as partial:
        (partial / "file").write_text("new")
    assert (tmp_path / "model" / "file").read_text() == "new"
