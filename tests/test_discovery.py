import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragqa.discovery import Discovery, discover
from ragqa.errors import UsageError


def _ids(found: Discovery) -> list[str]:
    return [file.doc_id for file in found.files]


def _reasons(found: Discovery) -> dict[str, str]:
    return {skipped.path.name: skipped.reason for skipped in found.skipped}


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def test_files_of_a_folder_are_named_below_it_in_a_fixed_order(tmp_path: Path) -> None:
    _touch(tmp_path / "kb", "b.txt", "a/c.MD", "a/图 表.csv")
    found = discover([tmp_path / "kb"])
    assert _ids(found) == ["kb/a/c.MD", "kb/a/图 表.csv", "kb/b.txt"]
    assert found == discover([tmp_path / "kb" / ".." / "kb"])


def test_a_single_file_is_named_by_itself_and_overlapping_paths_count_once(tmp_path: Path) -> None:
    _touch(tmp_path / "kb", "b.txt")
    assert _ids(discover([tmp_path / "kb/b.txt"])) == ["b.txt"]
    assert len(discover([tmp_path / "kb", tmp_path / "kb/b.txt", tmp_path / "kb"]).files) == 1


def test_roots_of_equal_names_are_told_apart(tmp_path: Path) -> None:
    _touch(tmp_path, "one/kb/a.txt", "two/kb/a.txt")
    assert _ids(discover([tmp_path / "one/kb", tmp_path / "two/kb"])) == ["one/kb/a.txt", "two/kb/a.txt"]


def test_hidden_names_are_ignored_and_other_formats_are_skipped_with_their_suffix(tmp_path: Path) -> None:
    _touch(tmp_path, ".git/a.txt", ".hidden.txt", "a.exe", "README")
    found = discover([tmp_path])
    assert found.files == []
    assert _reasons(found) == {
        "a.exe": "unsupported format .exe",
        "README": "unsupported format (no suffix)",
    }


def test_names_with_newlines_and_undecodable_bytes_get_printable_and_different_ids(tmp_path: Path) -> None:
    names = [b"two\nlines.txt", b"two\\nlines.txt", b"caf\xe9.txt"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("text")
    ids = _ids(discover([tmp_path]))
    assert len(set(ids)) == 3
    assert all(name.isprintable() and name.encode("utf-8") for name in ids)


def test_links_out_in_circles_and_to_nowhere_are_reported_and_not_followed(tmp_path: Path) -> None:
    _touch(tmp_path, "kb/a.txt", "kb/.store/b.txt", "outside/secret.txt")
    links = {
        "out.txt": "../outside/secret.txt",
        "folder": "../outside",
        "loop": ".",
        "self.txt": "self.txt",
        "gone.txt": "nowhere.txt",
        "twice.txt": "a.txt",
        "kept.txt": ".store/b.txt",
    }
    for name, target in links.items():
        (tmp_path / "kb" / name).symlink_to(target)
    found = discover([tmp_path / "kb"])
    assert _ids(found) == ["kb/a.txt", "kb/kept.txt"]
    reasons = _reasons(found)
    assert set(reasons) == set(links) - {"kept.txt"}
    assert "out of the folder" in reasons["out.txt"]
    assert "out of the folder" in reasons["folder"]
    assert "circle" in reasons["self.txt"]


def test_what_is_no_regular_file_is_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert _reasons(discover([tmp_path])) == {"pipe.txt": "not a regular file"}


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    assert discover([tmp_path]) == Discovery([], [])


def test_a_missing_path_says_what_is_accepted_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing does not exist; accepted: files and folders; try: "):
        discover([tmp_path / "nothing"])
    with pytest.raises(UsageError, match="no path"):
        discover([])


def test_an_index_below_the_folder_is_no_document(tmp_path: Path) -> None:
    _touch(tmp_path, "a.txt", "indexes/kb/CURRENT", "indexes/kb/generations/1/lexical/words.txt")
    _touch(tmp_path, "minutes/CURRENT", "minutes/b.txt")
    found = discover([tmp_path])
    assert [file.path.name for file in found.files] == ["a.txt", "b.txt"]
    (index,) = [s for s in found.skipped if s.path == tmp_path / "indexes" / "kb"]
    assert index.expected


def test_a_file_that_was_named_itself_and_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    _touch(tmp_path, "notes.log", "a.txt")
    assert [s.expected for s in discover([tmp_path]).skipped] == [True]
    assert [s.expected for s in discover([tmp_path / "a.txt", tmp_path / "notes.log"]).skipped] == [False]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_what_another_user_may_not_read_is_skipped_with_that_reason(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    _touch(kb, "open.txt", "closed.txt", "locked/a.txt")
    (kb / "closed.txt").chmod(0)
    (kb / "locked").chmod(0)
    for folder in [kb, *kb.parents]:
        if folder.is_relative_to(Path(os.environ.get("TMPDIR", "/tmp"))):
            folder.chmod(folder.stat().st_mode | 0o055)
    # The modules are imported before the change of user: the environment may be root's own.
    program = (
        "import os, sys; from pathlib import Path; from ragqa.discovery import discover; os.setuid(65534);"
        "found = discover([Path(sys.argv[1])]);"
        "print([f.doc_id for f in found.files], sorted((s.path.name, s.reason) for s in found.skipped))"
    )
    ran = subprocess.run([sys.executable, "-c", program, kb], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == (
        "['kb/open.txt'] [('closed.txt', 'permission denied'), "
        "('locked', 'folder cannot be opened: Permission denied')]"
    ), ran.stderr
