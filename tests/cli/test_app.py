"""Help, version, and errors: one line on stderr, and a traceback only for who asks for it."""

import io
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ragqa.cli.app import _tell_what_takes_long

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
    assert done.err.count("\n") == 1
    assert done.err.startswith("ragqa: ")
    assert "; try: ragqa" in done.err


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


def test_one_setting_that_does_not_fit_the_index_names_the_command_that_makes_it_so(
    ragqa: Any, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("A heron stands in the water.\n")
    docs, index = str(tmp_path / "docs"), str(tmp_path / "my index")
    assert ragqa("index", docs, "--index", index, "--set", "encoder=hashing").code == 0
    # Without settings a later run keeps those of the first.
    again = ragqa("index", docs, "--index", index)
    assert again.code == 0
    assert "nothing changed" in again.err
    refused = ragqa("index", docs, "--index", index, "--set", "encoder.dimensions=64")
    assert refused.code == 1
    command = refused.err.strip().partition("try: ragqa ")[2]
    assert command == f"index --rebuild {docs} --index '{index}' --set encoder.dimensions=64"
    assert ragqa(*shlex.split(command)).code == 0
    asked = ragqa("search", "heron", "--index", index, "--set", "store=numpy")
    assert asked.err.strip().endswith(f"try: ragqa index --rebuild PATH --index '{index}'")


def test_a_run_over_a_damaged_index_says_so(ragqa: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A heron stands in the water.\n")
    index = tmp_path / "index"
    arguments = ("index", str(tmp_path / "a.txt"), "--index", str(index))
    assert ragqa(*arguments, "--set", "encoder=hashing").code == 0
    (vectors,) = index.glob("generations/*/vectors.npy")
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(bytes(data))
    done = ragqa(*arguments)
    assert done.code == 1
    assert "vectors.npy has another checksum" in done.err


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("search heron --index {index} >&-", 0, ""),
        ("ask - --index {index} <&-", 2, "no question on stdin"),
        ("search heron --index {index} >/dev/full", 1, "output cannot be written: No space left on device"),
        ("search heron --index {index} | true; exit ${{PIPESTATUS[0]}}", 141, ""),
        ("search $'her\\xffon heron' --index {index}", 0, ""),
        ("search heron --json --index {index} --set $'a\\xff=1'", 2, "the configuration = "),
    ],
)
def test_streams_and_bytes_of_any_kind_end_in_one_line_at_most(
    home: Path, shell: str, code: int, said: str
) -> None:
    script = shell.format(index=home / "indexes" / "default")
    command = ["bash", "-c", f"{sys.executable} -m ragqa {script}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") <= 1


def test_a_stream_that_cannot_show_a_character_shows_another(home: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ragqa",
        "search",
        "苹果树",
        "--index",
        str(home / "indexes" / "default"),
    ]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=plain, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"?" in done.stdout


def test_what_takes_long_is_told_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("ragqa")
    for shown in (False, True):
        stream = io.StringIO()
        stream.isatty = lambda shown=shown: shown  # type: ignore[method-assign,misc]
        monkeypatch.setattr(sys, "stderr", stream)
        before = list(log.handlers)
        try:
            _tell_what_takes_long()
            logging.getLogger("ragqa.runtimes.compiled").info("preparing the reader")
        finally:
            log.handlers[:] = before
            log.setLevel(logging.NOTSET)
        assert stream.getvalue() == ("preparing the reader …\n" if shown else "")
