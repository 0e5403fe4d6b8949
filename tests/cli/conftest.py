"""The program as a user starts it, in a folder with documents and an index of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BRIDGE = "# The Orchard Bridge\n\nThe Orchard Bridge was designed by Maria Keller. It opened in 1931.\n"
APPLE = "# 果园\n\n苹果树在四月开花。果实在九月成熟。\n"


def outside(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own."""
    command = [sys.executable, "-m", "ragqa", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture
def process() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    return outside


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``docs`` and, at the default place, an index of them."""
    from ragqa.config import Config
    from ragqa.indexing import build_index

    folder = tmp_path_factory.mktemp("home")
    (folder / "docs").mkdir()
    (folder / "docs" / "bridge.md").write_text(BRIDGE, encoding="utf-8")
    (folder / "docs" / "果园.md").write_text(APPLE, encoding="utf-8")
    build_index([folder / "docs"], folder / "indexes" / "default", Config.from_values({"encoder": "hashing"}))
    return folder


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home
