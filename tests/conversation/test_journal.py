"""The file of a conversation: whole after a crash, one writer, bad files named."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.conversation.exchange import Exchange
from ragqa.conversation.journal import Journal, append_line, check_name, exchanges, fresh_name, summaries
from ragqa.errors import ConversationError, DataError, UsageError


def made(question: str, answer: str | None = "May") -> Exchange:
    return Exchange(question=question, standalone=question, answer=answer, time="2026-01-01T00:00:00")


def test_what_is_appended_is_there_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "kept", "lease") as journal:
        assert journal.earlier == ()
        journal.append(made("When does it end?"))
        journal.append(made("Und danach?\nsecond line", None))
    with Journal(tmp_path / "kept", "lease") as again:
        assert again.earlier == (made("When does it end?"), made("Und danach?\nsecond line", None))


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_without_its_end_is_cut_off_and_the_conversation_goes_on(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path, "lease") as journal:
        journal.append(made("first"))
        journal.append(made("second"))
    path = tmp_path / "lease.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    assert exchanges(path) == [made("first")]
    with Journal(tmp_path, "lease") as again:
        assert again.earlier == (made("first"),)
        again.append(made("third"))
    assert exchanges(path) == [made("first"), made("third")]


def test_a_process_killed_while_it_writes_leaves_whole_exchanges(tmp_path: Path) -> None:
    writer = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from ragqa.conversation.exchange import Exchange
        from ragqa.conversation.journal import Journal
        with Journal(Path(sys.argv[1]), "killed") as journal:
            start = len(journal.earlier)
            for number in range(start, 100_000):
                journal.append(Exchange(question=f"{number} " + "x" * 20_000, standalone="y"))
        """
    )
    path = tmp_path / "killed.jsonl"
    for _ in range(3):
        size = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", writer, str(tmp_path)])
        patience = time.monotonic() + 60
        while (not path.exists() or path.stat().st_size < size + 300_000) and time.monotonic() < patience:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        numbers = [int(e.question.split()[0]) for e in exchanges(path)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= 10


def test_a_conversation_has_one_writer(tmp_path: Path) -> None:
    with Journal(tmp_path, "lease"), pytest.raises(ConversationError, match="another process"):
        Journal(tmp_path, "lease")
    Journal(tmp_path, "lease").close()


def test_a_file_that_is_no_conversation_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lease.jsonl"
    path.write_text('{"question": "a", "standalone": "a"}\nno json\n')
    with pytest.raises(DataError, match=r"lease.jsonl line 2: is no JSON object"):
        Journal(tmp_path, "lease")
    assert path.read_text().endswith("no json\n")
    assert summaries(tmp_path) == []
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read"):
        exchanges(path)
    Journal(tmp_path, "other").close()  # the lock of the broken one was let go


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConversationError, match="cannot be written"):
        Journal(tmp_path / "file" / "kept", "lease")
    with pytest.raises(ConversationError, match="/dev/full cannot be written: No space"):
        append_line(Path("/dev/full"), "a line")


@pytest.mark.parametrize(
    "name", ["", " a", "../a", "a/b", ".a", "a.", "a" * 81, "a\n", "feedback", "FEEDBACK", "a\x1b"]
)
def test_names_that_cannot_be_files_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_names_of_people_are_accepted() -> None:
    for name in ("lease 17", "租约", "a-b_c.d", fresh_name(datetime(2026, 1, 2, 3, 4, 5))):
        assert check_name(name) == name


def test_the_list_begins_with_the_one_that_went_on_last(tmp_path: Path) -> None:
    for number, name in enumerate(["old", "new", "empty"]):
        with Journal(tmp_path, name) as journal:
            if name != "empty":
                journal.append(made(f"{name}?"))
                os.utime(journal.path, (number, number))
    append_line(tmp_path / "feedback.jsonl", made("not a conversation").model_dump_json())
    assert [(s.name, s.turns, s.first) for s in summaries(tmp_path)] == [
        ("new", 1, "new?"),
        ("old", 1, "old?"),
    ]


@given(st.text(min_size=1), st.text(), st.none() | st.text())
def test_any_text_survives_the_file(question: str, sentence: str, answer: str | None) -> None:
    kept = Exchange(question=question, standalone=question, sentence=sentence, answer=answer)
    line = kept.model_dump_json()
    assert "\n" not in line
    assert Exchange.model_validate_json(line) == kept
