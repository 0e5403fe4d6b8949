"""``ragqa index``: the closing line and the exit code tell what happened."""

from pathlib import Path
from typing import Any

import pytest

HASHING = ("--set", "encoder=hashing")


def test_the_closing_line_counts(ragqa: Any, tmp_path: Path) -> None:
    docs = tmp_path / "my docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The heron waits.", encoding="utf-8")
    done = ragqa("index", str(docs), "--index", str(tmp_path / "index"), *HASHING)
    assert done.code == 0
    assert done.out == ""
    for part in (
        "1 documents",
        "1 passages",
        "1 added, 0 changed, 0 removed",
        "1 texts embedded",
        "0 skipped",
    ):
        assert part in done.err
    again = ragqa("index", str(docs), "--index", str(tmp_path / "index"), *HASHING)
    assert again.code == 0
    assert "nothing changed; 0 texts embedded" in again.err


def test_broken_files_are_named_skipped_and_counted(ragqa: Any, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.txt").write_text("The heron waits.", encoding="utf-8")
    (tmp_path / "docs" / "bad one.docx").write_bytes(b"PK no archive")
    (tmp_path / "docs" / "picture.png").write_bytes(b"\x89PNG")  # not broken: no document at all
    for _ in range(2):
        done = ragqa("index", str(tmp_path / "docs"), "--index", str(tmp_path / "index"), *HASHING)
        assert done.code == 4
        assert "skipped" in done.err.splitlines()[0]
        assert "bad one.docx" in done.err.splitlines()[0]
        assert "1 documents" in done.err
        assert done.err.rstrip().endswith("1 skipped")
        assert "picture.png" not in done.err
    assert ragqa("search", "heron", "--index", str(tmp_path / "index")).code == 0


def test_nothing_to_read_is_a_usage_error(ragqa: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = ragqa("index", str(tmp_path / "empty"), "--index", str(tmp_path / "index"), *HASHING)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "no readable document" in done.err
    missing = ragqa("index", str(tmp_path / "missing"), "--index", str(tmp_path / "index"), *HASHING)
    assert missing.code == 2
    assert "does not exist" in missing.err


def test_another_encoder_names_the_command_that_mends(ragqa: Any, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("The heron waits.", encoding="utf-8")
    place = (str(tmp_path / "docs"), "--index", str(tmp_path / "index"))
    assert ragqa("index", *place, *HASHING).code == 0
    done = ragqa("index", *place, *HASHING, "--set", "encoder.dimensions=32")
    assert done.code == 1
    assert "hashing" in done.err
    assert f"ragqa index --rebuild {tmp_path / 'docs'} --index {tmp_path / 'index'}" in done.err
    assert ragqa("index", "--rebuild", *place, *HASHING, "--set", "encoder.dimensions=32").code == 0


@pytest.mark.parametrize(("name", "said"), [("", "--index ''"), ("bad\udcff", "--index bad\\xff")])
def test_a_place_that_cannot_be_meant_is_refused_before_anything_is_read(
    ragqa: Any, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "a.txt").write_text("The heron waits.", encoding="utf-8")
    for command in (("index", str(tmp_path)), ("ask", "Who waits?"), ("info",)):
        done = ragqa(*command, "--index", name)
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert said in done.err


def test_a_file_read_in_part_is_named_and_told_by_the_exit_code(ragqa: Any, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.jsonl").write_text('{"text": "The heron waits."}\n{bad\n', encoding="utf-8")
    done = ragqa("index", str(tmp_path / "docs"), "--index", str(tmp_path / "index"), *HASHING)
    assert done.code == 4
    assert "read in part" in done.err.splitlines()[0]
    assert done.err.rstrip().endswith("0 skipped, 1 read in part")
    assert "in part" in ragqa("info", "--index", str(tmp_path / "index")).out
