"""``--stream``: an answer that appears while it is written, and what becomes of it."""

import json
import os
import pty
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ragqa.cli.printing import plain
from ragqa.cli.streaming import Screen
from ragqa.conversation.relay import Relay, Stopped
from ragqa.types import Answer

DESIGNER = "Who designed the Orchard Bridge?"
WRITES = ("--set", "reader.name=generative")
FINDS = ("--set", "reader.threshold=0.0")
NEVER = ("--set", "reader.threshold=1.0")

pytestmark = pytest.mark.usefixtures("at_home")


def events_of(done: Any) -> tuple[str, dict[str, Any]]:
    """The text of the events before the last one, and the last one."""
    *texts, last = [json.loads(line) for line in done.out.splitlines()]
    assert all(event.keys() == {"event", "text"} and event["event"] == "text" for event in texts)
    assert last["event"] == "answer"
    return "".join(event["text"] for event in texts), last


@pytest.mark.parametrize("reader", [WRITES, FINDS])
def test_events_hold_the_answer_and_the_last_one_its_whole_record(
    ragqa: Any, reader: tuple[str, ...]
) -> None:
    done = ragqa("ask", DESIGNER, "--stream", "--json", *reader)
    text, last = events_of(done)
    assert done.code == 0
    assert last["outcome"] == "answered"
    assert text == last["answer"] == "Maria Keller"
    record = json.loads(ragqa("ask", DESIGNER, "--json", *reader).out)
    assert {**last, "timings": {}} == {"event": "answer", "outcome": "answered", **record, "timings": {}}


def test_an_answer_that_does_not_stand_is_withdrawn_in_so_many_words(ragqa: Any) -> None:
    done = ragqa("ask", DESIGNER, "--stream", "--json", *WRITES, *NEVER)
    text, last = events_of(done)
    assert done.code == 3
    assert (last["outcome"], last["answer"], last["citations"]) == ("withdrawn", None, [])
    assert "Keller" in text
    shown = ragqa("ask", DESIGNER, "--stream", *WRITES, *NEVER)
    assert shown.code == 3
    heard, struck, refused, *_ = shown.out.splitlines()
    assert heard == text
    assert struck.startswith("  ✗ withdrawn: its confidence of ")
    assert refused == "Not in these documents."


def test_where_nothing_is_found_nothing_is_heard(ragqa: Any) -> None:
    text, last = events_of(ragqa("ask", DESIGNER, "--stream", "--json", *NEVER))
    assert (text, last["outcome"], last["answer"]) == ("", "refused", None)


def test_what_is_printed_is_the_same_with_and_without(ragqa: Any) -> None:
    for reader in (WRITES, FINDS):
        shown = [ragqa("ask", DESIGNER, flag, *reader).out for flag in ("--stream", "--no-stream")]
        assert shown[0] == shown[1]
        assert shown[0].startswith("Maria Keller\n")


def test_each_question_of_stdin_has_its_events(ragqa: Any) -> None:
    done = ragqa("ask", "-", "--stream", "--json", *WRITES, stdin=f"{DESIGNER}\nWhen did it open?\n")
    kinds = [json.loads(line)["event"] for line in done.out.splitlines()]
    assert kinds.count("answer") == 2
    assert kinds[0] == "text"
    assert kinds[-1] == "answer"


def test_escape_codes_are_harmless_also_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    text = "red \x1b[31m\x1b]0;title\x07 \x9b2J and \u202eback"
    for size in (1, 2, 3, 5):
        with Screen() as screen:
            for at in range(0, len(text), size):
                screen.hear(text[at : at + size])
            screen.settle(Answer(text, 0.5, (), ()), None)
        shown = capsys.readouterr().out
        assert shown.splitlines()[0] == plain(text)
        assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_an_answer_broken_off_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        with Screen() as screen:
            screen.hear("Maria")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken()
    assert capsys.readouterr().out == "Maria\n"


def test_an_answer_of_another_wording_replaces_what_was_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen() as screen:
        screen.hear("One. Two.")
        screen.settle(Answer("One.", 0.5, (), ()), None)
    heard, struck, answer, *_ = capsys.readouterr().out.splitlines()
    assert (heard, answer) == ("One. Two.", "One.")
    assert struck.startswith("  ✗ replaced")


def test_a_terminal_sees_the_answer_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bytes] = []

    def keep(descriptor: int) -> bytes:
        shown.append(os.read(descriptor, 4096))
        return shown[-1]

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    status = pty.spawn([sys.executable, "-m", "ragqa", "ask", DESIGNER, *WRITES], keep)
    assert os.waitstatus_to_exitcode(status) == 0
    # The words of the answer have come apart, each in its own style.
    assert b"\x1b[1;32mMaria\x1b[0m\x1b[1;32m Keller\x1b[0m" in b"".join(shown)


def test_a_chat_streams_and_ctrl_c_ends_the_writing_at_its_next_token() -> None:
    """The worker that writes for ever stops by itself as soon as nobody waits."""
    said: list[int] = []
    relay = Relay()

    def hear(number: int) -> None:
        said.append(number)
        if number == 3:
            raise KeyboardInterrupt  # as Ctrl-C does, in the thread that waits

    def endless() -> None:
        tell, number = relay.to(hear), 0
        while True:
            tell(number := number + 1)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(endless)
        with pytest.raises(KeyboardInterrupt):
            relay.wait(work)
        assert isinstance(work.exception(timeout=20), Stopped)
        assert said == [1, 2, 3]
        assert Relay().wait(pool.submit(int, "7")) == 7


def test_a_session_hears_its_answers_and_forgets_those_it_stopped(at_home: Path) -> None:
    from ragqa.conversation.session import Session
    from ragqa.pipeline import load_pipeline

    heard: list[str] = []
    understood: list[str] = []

    def stop(piece: str) -> None:
        raise KeyboardInterrupt

    with (
        load_pipeline(at_home / "indexes" / "default", overrides=[WRITES[1]]) as pipeline,
        Session(pipeline) as session,
    ):
        with pytest.raises(KeyboardInterrupt):
            session.ask(DESIGNER, heard=stop)
        assert not session.exchanges
        session.ask(DESIGNER, understood=lambda found: understood.append(found.text), heard=heard.append)
        reply = session.ask("When did it open?", understood=lambda found: understood.append(found.text))
    assert "".join(heard) == session.exchanges[0].answer == "Maria Keller"
    assert understood == [DESIGNER, "When did Orchard Bridge open?"]
    assert reply.answer.text == "1931"
