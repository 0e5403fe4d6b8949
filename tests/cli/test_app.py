"""Help, version, and errors: one line on stderr, and a traceback only for who asks for it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("index", "ask", "search", "info", "doctor", "finetune")


def test_help_names_every_command_and_exit_code(ragqa: Any) -> None:
    done = ragqa("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.out
    assert "Exit codes: 0" in " ".join(done.out.split())


@pytest.mark.parametrize(
    "command", [(c,) for c in COMMANDS] + [("finetune", "reader"), ("finetune", "calibrate")]
)
def test_each_command_explains_itself(ragqa: Any, command: tuple[str, ...]) -> None:
    done = ragqa(*command, "--help")
    assert done.code == 0
    assert f"ragqa {' '.join(command)}" in done.out


def test_the_version_is_the_package_s(ragqa: Any) -> None:
    from ragqa import __version__

    assert ragqa("--version").out == f"ragqa {__version__}\n"


def test_help_loads_no_library() -> None:
    code = (
        "import sys\nsys.argv = ['ragqa', '--help']\nfrom ragqa.cli import main\n"
        "try:\n    main()\nfinally:\n    print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    for name in ("numpy", "torch", "openvino", "faiss", "pydantic", "rich", "transformers"):
        assert f"'{name}'" not in done.stderr


def test_an_error_is_one_line(ragqa: Any, tmp_path: Path) -> None:
    done = ragqa("ask", "Who?", "--index", str(tmp_path / "none"))
    assert done.code == 1
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("ragqa: ")
    assert "ragqa index PATH --index" in done.err


def test_debug_shows_the_traceback(process: Any, tmp_path: Path) -> None:
    arguments = ("info", "--index", str(tmp_path / "none"))
    quiet, loud = process(*arguments), process("--debug", *arguments)
    assert quiet.returncode == loud.returncode == 1
    assert "Traceback" not in quiet.stderr
    assert quiet.stderr.count("\n") == 1
    assert "Traceback" in loud.stderr
    assert "IndexMissing" in loud.stderr


@pytest.mark.parametrize("arguments", [("aks",), ("ask",), ("ask", "Who?", "--top_k", "3"), ("index",)])
def test_a_mistyped_command_is_a_usage_error(ragqa: Any, arguments: tuple[str, ...]) -> None:
    done = ragqa(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "Usage" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("--set", "topk=3"), 2, "topk"),
        (("--set", "encoder.dimensions=wide"), 2, "dimensions"),
        (("--set", "encoder.dimensions=8"), 1, "--rebuild"),
        (("--config", "nowhere.yaml"), 2, "nowhere.yaml"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    ragqa: Any, at_home: Path, arguments: tuple[str, ...], code: int, found: str
) -> None:
    done = ragqa("search", "bridge", *arguments)
    assert done.code == code
    assert found in done.err
    assert done.err.count("\n") == 1


def test_nobody_listening_is_no_news(at_home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ragqa", "search", "bridge", "--json"]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=at_home, check=False
    )
    os.close(writing)
    assert done.returncode != 0
    assert done.stderr == ""
