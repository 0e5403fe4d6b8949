"""``ragqa chat`` with the shipped reader: piped, on a terminal, interrupted, resumed."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ragqa.data import jsonl

CONFIDENT = ("--set", "reader.threshold=0.0")
DESIGNER = "Who designed the Orchard Bridge?"

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def chat(ragqa: Any, folder: Path, typed: str, *arguments: str) -> Any:
    return ragqa("chat", "--folder", str(folder), *CONFIDENT, *arguments, stdin=typed)


def test_piped_questions_follow_one_another(ragqa: Any, folder: Path) -> None:
    done = chat(ragqa, folder, f"{DESIGNER}\nAnd when did it open?\n")
    assert done.code == 0
    assert done.err == ""
    assert "Keller" in done.out
    assert "→ When did Orchard Bridge open?" in done.out
    assert "1931" in done.out.partition("→")[2].splitlines()[1]
    assert not folder.exists()  # nothing is kept of a pipe without a name


def test_a_chinese_follow_up(ragqa: Any, folder: Path) -> None:
    done = chat(ragqa, folder, "苹果树什么时候开花？\n果实呢？\n")
    assert "→ 果实什么时候开花？" in done.out


def test_without_a_rewriter_every_question_stands_as_asked(ragqa: Any, folder: Path) -> None:
    done = chat(ragqa, folder, f"{DESIGNER}\nWhen did it open?\n", "--set", "conversation.rewriter=none")
    assert done.code == 0
    assert "→" not in done.out
    wrong = chat(ragqa, folder, "Who?", "--set", "conversation.rewriter=nones")
    assert wrong.code == 2
    assert "none" in wrong.err


def test_a_conversation_is_kept_listed_resumed_and_exported(ragqa: Any, folder: Path) -> None:
    chat(ragqa, folder, f"{DESIGNER}\n", "--conversation", "bridge")
    again = chat(ragqa, folder, "When did it open?\n", "--conversation", "bridge")
    assert "→ When did Orchard Bridge open?" in again.out
    lines = (folder / "bridge.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["question"] for line in lines] == [DESIGNER, "When did it open?"]
    assert json.loads(lines[1])["standalone"] == "When did Orchard Bridge open?"
    listed = ragqa("chat", "--list", "--folder", str(folder))
    assert re.fullmatch(
        rf"bridge  \d{{4}}-\d\d-\d\d \d\d:\d\d  2 questions  {re.escape(DESIGNER)}\n", listed.out
    )
    exported = ragqa("chat", "--export", "-", "--folder", str(folder))
    assert exported.out.startswith(f"# bridge\n\n## {DESIGNER}\n")
    assert "*Understood as: When did Orchard Bridge open?*" in exported.out
    missing = ragqa("chat", "--export", "-", "--conversation", "tunnel", "--folder", str(folder))
    assert missing.code == 2
    assert "accepted: bridge" in missing.err


def test_verdicts_become_questions_that_training_reads(ragqa: Any, folder: Path, tmp_path: Path) -> None:
    chat(ragqa, folder, f"{DESIGNER}\n/good\nWhen did it open?\n/bad 1931\n")
    target = tmp_path / "questions.jsonl"
    done = ragqa("chat", "--examples", str(target), "--folder", str(folder))
    assert done.err == "2 labelled questions\n"
    examples = jsonl.load(target)
    assert [e.query.text for e in examples] == [DESIGNER, "When did Orchard Bridge open?"]
    assert examples[1].answers == ("1931",)
    record = json.loads((folder / "feedback.jsonl").read_text().splitlines()[0])
    assert record.keys() >= {"verdict", "question", "standalone", "answer", "citations", "time", "example"}


def test_commands_show_sources_and_reasons(ragqa: Any, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.md"
    typed = f"{DESIGNER}\nWhen did it open?\n/sources\n/why\n/index\n/help\n/save {saved}\n/quit\nWho?\n"
    done = chat(ragqa, folder, typed)
    assert done.code == 0
    assert "docs/bridge.md › The Orchard Bridge" in done.out.partition("? /sources")[2]
    why = done.out.partition("? /why")[2]
    assert "understood   When did Orchard Bridge open?" in why
    assert "because      'it' is 'Orchard Bridge'" in why
    assert "query terms:" in why
    assert "2 documents" in done.out.partition("? /index")[2]
    assert "/sources" in done.out.partition("? /help")[2]
    assert saved.read_text(encoding="utf-8").count("## ") == 2
    assert "? Who?" not in done.out


def test_explain_shows_the_reason_with_each_answer(ragqa: Any, folder: Path) -> None:
    done = chat(ragqa, folder, f"{DESIGNER}\n", "--explain")
    assert "because      the first question" in done.out
    assert "matched:" in done.out


def test_another_index_is_asked_from_the_next_question_on(ragqa: Any, folder: Path, town: Path) -> None:
    done = chat(
        ragqa, folder, f"/index {town / 'index'}\nWho designed the Harbour Bridge?\n/index nowhere\nWhy?\n"
    )
    assert done.code == 0
    assert "24 documents" in done.out
    assert "bridges/" in done.out
    assert "there is no index" in done.err


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("/sources", "nothing has been answered yet"),
        ("/why", "nothing has been answered yet"),
        ("/good", "nothing has been answered yet"),
        ("/save", "nothing has been answered yet"),
        ("/sorces", "accepted: /sources"),
        ("why " * 25_000, "99,999 characters"),
        (f"{DESIGNER}\n/save talk.pdf", "ends with .md"),
        (f"{DESIGNER}\n/save /nowhere/talk.md", "cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_the_talk_goes_on(
    ragqa: Any, folder: Path, typed: str, found: str
) -> None:
    done = chat(ragqa, folder, f"{typed}\n{DESIGNER}\n")
    assert done.code == 0
    assert found in done.err
    assert done.err.count("\n") == 1
    assert "Keller" in done.out


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--conversation", "../x"), "--conversation"),
        (("--top-k", "0"), "--top-k 0"),
        (("--export", "-"), "no conversation is kept"),
        (("--set", "reader=multiple_choice"), "multiple_choice needs options"),
    ],
)
def test_arguments_that_cannot_be_meant(
    ragqa: Any, folder: Path, arguments: tuple[str, ...], found: str
) -> None:
    done = chat(ragqa, folder, "Who?\n", *arguments)
    assert done.code == 2
    assert found in done.err
    assert done.err.count("\n") == 1


def test_escape_codes_of_documents_and_questions_do_not_reach_the_terminal(
    ragqa: Any, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "evil.txt").write_text("The tower \x1b[2J\x07was built by Ada\x9b31m Wong in 1902.\n")
    index = str(tmp_path / "evil")
    ragqa("index", str(tmp_path / "evil.txt"), "--index", index, "--set", "encoder=hashing")
    typed = "Who built the \x1b]0;tower?\n/sources\n/why\n"
    done = ragqa("chat", "--index", index, "--folder", str(folder), *CONFIDENT, "--explain", stdin=typed)
    assert done.code == 0
    assert "Ada" in done.out
    asked = ragqa("ask", "Who built the tower?", "--index", index, "--explain", *CONFIDENT)
    for shown in (done.out, done.err, asked.out):
        assert not set(shown) & set("\x1b\x07\x9b")


# A process of its own: the signal must not reach the one that runs the tests.
_PRESSES_CTRL_C = """
import os, signal, threading
from ragqa.cli import main
from ragqa.readers.extractive import ExtractiveReader

read, going = ExtractiveReader.read, threading.Event()

def slow(self, queries, hits):
    if "slow" in queries[0].text:
        threading.Timer(2, going.set).start()  # the answer that nobody waits for ends by itself
        os.kill(os.getpid(), signal.SIGINT)
        going.wait(20)
    return read(self, queries, hits)

ExtractiveReader.read = slow
# A test run that a script started in the background inherits "ignore Ctrl-C".
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_ctrl_c_stops_an_answer_and_not_the_program(folder: Path) -> None:
    command = [sys.executable, "-c", _PRESSES_CTRL_C, "chat", "--folder", str(folder), *CONFIDENT]
    typed = f"How slow is it?\n{DESIGNER}\n"
    done = subprocess.run(
        [*command, "--conversation", "stopped"], input=typed, capture_output=True, text=True, check=False
    )
    assert done.stderr == "stopped\n"
    assert done.returncode == 0
    assert "Keller" in done.stdout
    (kept,) = (folder / "stopped.jsonl").read_text().splitlines()
    assert json.loads(kept)["question"] == DESIGNER


def test_a_conversation_that_another_process_holds_is_refused(ragqa: Any, folder: Path) -> None:
    from ragqa.conversation.journal import Journal

    with Journal(folder, "busy"):
        done = chat(ragqa, folder, "Who?\n", "--conversation", "busy")
    assert done.code == 1
    assert "goes on in another process" in done.err


def on_a_terminal(arguments: list[str], typed: list[tuple[str, str]]) -> tuple[int, str]:
    """Type lines, each when the text before it has appeared, and tell the exit code and the screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm", NO_COLOR="1", PROMPT_TOOLKIT_NO_CPR="1")
        os.execv(sys.executable, [sys.executable, "-m", "ragqa", *arguments])
    shown = ""
    patience = time.monotonic() + 120
    try:
        for awaited, keys in [*typed, ("\0", "")]:
            seen = len(shown)
            while awaited not in shown[seen:] and time.monotonic() < patience:
                if select.select([terminal], [], [], 0.5)[0]:
                    shown += os.read(terminal, 65536).decode("utf-8", "replace")
            os.write(terminal, keys.encode())
    except OSError:  # the program has ended
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def test_on_a_terminal_lines_are_edited_and_ctrl_c_drops_the_line(folder: Path) -> None:
    code, shown = on_a_terminal(
        ["chat", "--folder", str(folder), *CONFIDENT],
        [
            ("»", "Who desX\x7figned the Orchard Bridge?\r"),
            ("confidence", "half a line\x03/qu"),
            ("/qu", "it\r"),
        ],
    )
    assert code == 0
    assert "conversation '" in shown
    assert "Keller" in shown
    (kept,) = folder.glob("*.jsonl")
    assert json.loads(kept.read_text())["question"] == DESIGNER
    assert (folder / ".lines").exists()
