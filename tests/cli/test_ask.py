"""``ragqa ask`` with the shipped reader over an index of the hashing encoder."""

import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from ragqa.config import Config
from ragqa.indexing import build_index

DESIGNER = "Who designed the Orchard Bridge?"
UNKNOWN = "What is the melting point of tungsten carbide?"
CONFIDENT = ("--set", "reader.threshold=0.0")
DOUBTFUL = ("--set", "reader.threshold=1.0")

pytestmark = pytest.mark.usefixtures("at_home")


def test_an_answer_shows_its_sentence_source_and_confidence(ragqa: Any) -> None:
    done = ragqa("ask", DESIGNER, *CONFIDENT)
    assert done.code == 0
    assert done.err == ""
    answer = done.out.splitlines()[0]
    assert "Keller" in answer
    assert f"[{answer}]" in done.out
    assert "docs/bridge.md › The Orchard Bridge" in done.out
    assert "confidence 0." in done.out or "confidence 1." in done.out


def test_no_answer_shows_the_nearest_passage(ragqa: Any) -> None:
    done = ragqa("ask", DESIGNER, *DOUBTFUL)
    assert done.code == 3
    assert done.out.startswith("Not in these documents.")
    assert "docs/bridge.md" in done.out
    assert "Maria Keller" in done.out


def test_json_is_one_object(ragqa: Any) -> None:
    done = ragqa("ask", DESIGNER, "--json", "--top-k", "1", *CONFIDENT)
    assert done.code == 0
    record = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert record.keys() >= {"query", "answer", "confidence", "citations", "hits", "timings"}
    assert record["query"] == DESIGNER
    assert record["answer"] == record["citations"][0]["quote"]
    assert record["citations"][0].keys() == {"document", "page", "start", "end", "quote"}
    assert len(record["hits"]) == 1
    refused = ragqa("ask", DESIGNER, "--json", *DOUBTFUL)
    assert refused.code == 3
    assert json.loads(refused.out)["answer"] is None


def test_a_chinese_question_is_answered_with_a_note(ragqa: Any) -> None:
    done = ragqa("ask", "苹果树什么时候开花？", *CONFIDENT)
    assert done.code == 0
    assert done.out.startswith("苹果树在四月开花。\n")
    assert "note: " in done.out


def test_explain_shows_each_stage(ragqa: Any) -> None:
    done = ragqa("ask", DESIGNER, "--explain", *CONFIDENT)
    for part in ("query terms:", "hits (rank", "matched:", "null_margin", "time", "encode", "threshold"):
        assert part in done.out
    record = json.loads(ragqa("ask", DESIGNER, "--explain", "--json", *CONFIDENT).out)
    assert record["explain"].keys() == {"terms", "hits", "reader", "seconds"}
    assert record["explain"]["reader"]["candidate"] == record["answer"]
    refused = json.loads(ragqa("ask", DESIGNER, "--explain", "--json", *DOUBTFUL).out)
    assert (refused["answer"], refused["explain"]["reader"]["candidate"]) == (None, record["answer"])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("",), "empty"),
        (("  \n",), "empty"),
        (("why " * 25_000,), "99,999 characters"),
        (("Who?", "--top-k", "0"), "--top-k 0"),
        (("Who?", "--top-k", "-3"), "--top-k -3"),
        (("-", "--top-k", "0"), "--top-k 0"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(ragqa: Any, arguments: tuple[str, ...], found: str) -> None:
    done = ragqa("ask", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert len(done.err) < 400
    assert found in done.err


def test_without_an_index_the_command_to_make_one_is_named(ragqa: Any, tmp_path: Path) -> None:
    done = ragqa("ask", "Who?", "--index", str(tmp_path / "none"))
    assert done.code == 1
    assert "ragqa index" in done.err


def test_questions_from_stdin_are_answered_one_a_line(ragqa: Any) -> None:
    lines = [DESIGNER, "", "why " * 25_000, "苹果树什么时候开花？"]
    done = ragqa("ask", "-", "--json", *CONFIDENT, stdin="\n".join(lines))
    assert done.code == 0
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [r["query"] for r in records] == [DESIGNER, "苹果树什么时候开花？"]
    assert done.err.startswith("line 3: ")
    assert done.err.count("\n") == 1


def test_questions_from_stdin_as_text(ragqa: Any) -> None:
    done = ragqa("ask", "-", *CONFIDENT, stdin=f"{DESIGNER}\n{UNKNOWN}\n")
    assert [line for line in done.out.splitlines() if line.startswith("? ")] == [
        f"? {DESIGNER}",
        f"? {UNKNOWN}",
    ]
    assert ragqa("ask", "-", *DOUBTFUL, stdin=DESIGNER).code == 3
    for nothing in ("", "\n  \n", "\ufeff\n"):
        done = ragqa("ask", "-", stdin=nothing)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "no question on stdin" in done.err


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_told_not_to(
    monkeypatch: pytest.MonkeyPatch, variable: str, coloured: bool
) -> None:
    shown = bytearray()

    def keep(descriptor: int) -> bytes:
        block = os.read(descriptor, 4096)
        shown.extend(block)
        return block

    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    status = pty.spawn([sys.executable, "-m", "ragqa", "search", "bridge"], keep)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"bridge.md" in shown
    assert (b"\x1b[" in shown) == coloured


def test_a_question_beyond_the_encoder_does_not_stop_the_others(
    ragqa: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragqa.encoders.hashing import HashingEncoder
    from ragqa.errors import UsageError

    encode = HashingEncoder.encode_queries

    def limited(self: HashingEncoder, texts: list[str]) -> Any:
        if any("endless" in text for text in texts):
            raise UsageError("a text of 300 tokens is too long for the encoder")
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode_queries", limited)
    done = ragqa("ask", "-", "--json", *CONFIDENT, stdin=f"endless\n{DESIGNER}\n")
    assert done.code == 0
    assert [json.loads(line)["query"] for line in done.out.splitlines()] == [DESIGNER]
    assert done.err == "line 1: a text of 300 tokens is too long for the encoder\n"


def test_the_shipped_choice_model_picks_the_option_that_the_documents_speak_for(ragqa: Any) -> None:
    for options in ("Maria Keller|Paul Stein|Ada Wong", "Ada Wong|Paul Stein|Maria Keller"):
        done = ragqa("ask", DESIGNER, "--choices", options, "--json")
        assert done.code == 0
        record = json.loads(done.out)
        assert record["answer"] == "Maria Keller"
        assert record["citations"][0]["quote"] == "The Orchard Bridge was designed by Maria Keller."


@pytest.mark.parametrize("reader", ["extractive", "generative", "auto"])
def test_json_is_the_same_for_every_reader(ragqa: Any, reader: str) -> None:
    done = ragqa("ask", DESIGNER, "--json", "--strict", "--explain", "--reader", reader)
    assert done.code == 0
    record = json.loads(done.out)
    assert list(record)[:6] == ["query", "answer", "confidence", "sentence", "note", "citations"]
    assert "Keller" in record["answer"]
    for citation in record["citations"]:
        hit = next(hit for hit in record["hits"] if hit["document"] == citation["document"])
        assert hit["text"][citation["start"] - hit["start"] :].startswith(citation["quote"])
    (sentence,) = record["sentences"]
    assert sentence.keys() == {"start", "end", "text", "support", "citations"}
    assert record["answer"][sentence["start"] : sentence["end"]] == sentence["text"] == record["answer"]
    assert (sentence["support"], sentence["citations"]) == (1.0, [0])
    if reader == "auto":
        took = record["explain"]["reader"]["took"]
        assert ("took what the generator wrote" in record["note"]) == (took == "generative")
    refused = ragqa("ask", DESIGNER, "--json", "--reader", "extractive", *DOUBTFUL)
    assert json.loads(refused.out)["sentences"] == []


def test_the_reader_of_the_flag_keeps_the_options_of_its_own_only(ragqa: Any, tmp_path: Path) -> None:
    config = tmp_path / "extractive.yaml"
    config.write_text("encoder: hashing\nreader: {name: extractive, threshold: 1.0}\n", encoding="utf-8")
    assert ragqa("ask", DESIGNER, "--config", str(config)).code == 3
    assert ragqa("ask", DESIGNER, "--config", str(config), "--reader", "extractive").code == 3
    assert ragqa("ask", DESIGNER, "--config", str(config), "--reader", "generative", "--strict").code == 0
    # Flags before --set, that before the file.
    other = ("--set", "reader.name=generative", "--set", "reader.threshold=0.0")
    done = ragqa("ask", DESIGNER, "--config", str(config), "--reader", "extractive", "--explain", *other)
    assert (done.code, "null_margin" in done.out) == (0, True)


def test_a_reader_that_there_is_not(ragqa: Any) -> None:
    for command in (("ask", DESIGNER), ("chat",)):
        done = ragqa(*command, "--reader", "extractiv")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "auto, extractive, generative, multiple_choice" in done.err
    assert ragqa("ask", DESIGNER, "--reader", "multiple_choice").code == 2
    assert ragqa("chat", "--reader", "multiple_choice", stdin=DESIGNER).code == 2
    assert ragqa("ask", DESIGNER, "--reader", "extractive", "--choices", "a|b").code == 2


@pytest.mark.parametrize("reader", ["extractive", "generative"])
def test_escape_codes_of_documents_do_not_reach_the_terminal(ragqa: Any, tmp_path: Path, reader: str) -> None:
    evil = "# The \x1b]0;tower\x07\n\nThe tower \x1b[2J\x07was built by Ada\x9b31m\u202e Wong in 1902.\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "evil.md").write_text(evil, encoding="utf-8")
    build_index([tmp_path / "docs"], tmp_path / "index", Config.from_values({"encoder": "hashing"}))
    where = ("--index", str(tmp_path / "index"), "--reader", reader, *CONFIDENT)
    for more in ("--stream", "--explain"), ("--json", "--explain"), ("--json", "--stream"):
        done = ragqa("ask", "Who built the \x1b[1mtower?", *where, *more)
        assert "Ada" in done.out
        assert not set(done.out + done.err) & set("\x1b\x07\x9b\u202e")
        if "--json" in more:
            record = json.loads(done.out.splitlines()[-1])
            assert "\u202e Wong" in record["hits"][0]["text"]  # as it stands in the document
