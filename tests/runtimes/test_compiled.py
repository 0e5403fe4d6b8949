"""Compiled models: made once, whole or not at all, checked at every load."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragqa.backbone import child_environment
from ragqa.errors import ModelError
from ragqa.runtimes.compiled import compiled_folder

ASK = "import sys; from pathlib import Path; from ragqa.runtimes.compiled import compiled_folder; "
ASK += "print(compiled_folder('encoder', Path(sys.argv[1]), 'f32'))"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def ask(model: Path) -> subprocess.Popen[str]:
    """Another process that wants the same model, in a process group of its own."""
    command = [sys.executable, "-c", ASK, str(model)]
    return subprocess.Popen(
        command, env=child_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def test_a_killed_conversion_leaves_nothing_and_two_askers_make_one_model(
    cache: Path, small_bert: Path
) -> None:
    killed = ask(small_bert)
    while not list(cache.glob("*.partial-*")):
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [place for place in cache.iterdir() if place.is_dir() and "partial" not in place.name] == []

    both = [ask(small_bert), ask(small_bert)]
    folders = {asker.communicate()[0].strip() for asker in both}
    assert len(folders) == 1
    assert [str(place) for place in cache.iterdir() if place.is_dir()] == list(folders)


def test_a_compiled_model_is_used_again_and_mended_when_damaged(small_bert: Path) -> None:
    folder = compiled_folder("encoder", small_bert, "f32")
    weights = folder / "model.bin"
    made, content = weights.stat().st_mtime_ns, weights.read_bytes()
    assert compiled_folder("encoder", small_bert, "bf16") == folder  # bf16 is a way to run the same file
    assert weights.stat().st_mtime_ns == made

    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    assert compiled_folder("encoder", small_bert, "f32") == folder
    assert weights.read_bytes() == content


def test_other_weights_are_another_model(small_bert: Path, small_distilbert: Path, cache: Path) -> None:
    from ragqa.runtimes.compiled import _key

    first = _key("encoder", small_bert, "f32")
    assert _key("encoder", small_bert, "int8") != first
    assert _key("encoder", small_distilbert, "f32") != first
    weights = small_bert / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert _key("encoder", small_bert, "f32") != first
    assert not cache.exists()


@pytest.mark.parametrize("torch_is_loaded", [True, False])
def test_a_model_that_cannot_be_converted_says_why(
    small_bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, torch_is_loaded: bool
) -> None:
    if torch_is_loaded:
        importlib.import_module("torch")
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    (small_bert / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match=r"small-bert cannot be prepared for OpenVINO: \S+"):
        compiled_folder("encoder", small_bert, "f32")
    assert [place for place in cache.iterdir() if place.is_dir()] == []


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs a place nobody may write"
)
def test_a_cache_that_cannot_be_written_is_one_clear_line(
    small_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", "/proc/self/ragqa")
    with pytest.raises(ModelError, match=r"cannot keep compiled models in /proc/self.*RAGQA_CACHE"):
        compiled_folder("encoder", small_bert, "f32")
