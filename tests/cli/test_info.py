"""``ragqa info`` counts what is in an index and notices damage."""

import json
import shutil
from pathlib import Path
from typing import Any


def test_info_counts_what_is_there(ragqa: Any, at_home: Path) -> None:
    record = json.loads(ragqa("info", "--json").out)
    assert (record["documents"], record["files"], record["skipped"]) == (2, 2, 0)
    assert record["fingerprint"]["encoder"].startswith("hashing:")
    assert record["skipped_files"] == {}
    index = at_home / "indexes" / "default"
    generation = index / "generations" / record["generation"]
    files = [p for p in generation.rglob("*") if p.is_file() and p.name != "manifest.json"]
    assert record["bytes"] == sum(p.stat().st_size for p in files)
    text = ragqa("info").out
    assert record["generation"] in text
    assert "2 in 2 files" in text
    assert "hashing:" in text


def test_info_names_a_damaged_file(ragqa: Any, home: Path, tmp_path: Path) -> None:
    index = shutil.copytree(home / "indexes" / "default", tmp_path / "index")
    (vectors,) = index.rglob("vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    done = ragqa("info", "--index", str(index))
    assert done.code == 1
    assert "vectors.npy" in done.err
    assert "--rebuild" in done.err
