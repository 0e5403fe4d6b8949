"""What a terminal is shown: no control characters of documents, no colours where none are wanted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.cli import printing
from ragqa.types import Answer, Citation, Hit, Passage, Supported


@given(st.text(max_size=80))
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    shown = printing.plain(text)
    assert len(shown) == len(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert "\x1b" not in printing.wrapped(text)
    assert "\x1b" not in printing.place(text, text, 3)


def test_an_answer_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2Jgone\x07"
    hit = Hit(Passage(evil, 0, len(evil), evil, evil), 1.0, {})
    answer = Answer(
        evil, 0.5, (Citation(evil, 0, len(evil), evil),), (hit,), sentence=f"so {evil} it", note=evil
    )
    for shown in (answer, Answer(None, 0.1, (), (hit,))):
        assert "\x1b" not in "\n".join(printing.answer_lines(shown, None))
    assert "\x1b" not in "\n".join(printing.hit_lines([hit], [None]))


def test_the_quote_is_marked_in_its_sentence() -> None:
    assert printing.marked("It opened in 1931.", "1931") == "  It opened in [1931]."
    assert printing.marked("1931", "1931") == "  1931"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_a_style_marks_the_quote_on_every_line_and_nothing_else(before: str, quote: str, after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "30")
        patch.setattr(printing, "coloured", lambda stream: True)
        shown = printing.marked(before + quote + after, quote)
    on, off = "\x1b[1;4m", "\x1b[0m"
    for line in shown.split("\n"):
        assert line.count(on) == line.count(off)
        assert len(line.replace(on, "").replace(off, "")) <= 30
    words = shown.replace(on, "").replace(off, "").replace("\n", " ")
    assert "".join(words.split()) == "".join(printing.plain(before + quote + after).split())


def test_long_text_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = printing.wrapped("word " * 50).splitlines()
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  ") for line in lines)


def several() -> Answer:
    """Three sentences: one with a source, one with two, one with none."""
    text = "It was made by Ann. It opened in 1931. Nobody saw it."
    first, second = "It was made by Ann Keller of York.", "It opened in 1931, in spring."
    hit = Hit(Passage("a.md", 5, 5 + 64, f"{first} {second}", "Bridges"), 1.0)
    ann, opened = Citation("a.md", 5, 5 + 18, "It was made by Ann"), Citation("a.md", 40, 69, second, 3)
    sentences = (
        Supported(0, 19, 1.0, (ann,)),
        Supported(20, 38, 0.9, (ann, opened)),
        Supported(39, 53, 0.2),
    )
    return Answer(text, 0.5, (ann, opened), (hit,), sentence=first, sentences=sentences)


def test_several_sentences_carry_the_numbers_of_their_sources() -> None:
    assert printing.answer_lines(several(), None) == [
        "It was made by Ann. [1]",
        "It opened in 1931. [1][2]",
        "Nobody saw it. [unsupported]",
        "",
        "  [1] [It was made by Ann] Keller of York.",
        "      a.md › Bridges",
        "  [2] It opened in 1931, in spring.",
        "      a.md › Bridges · page 3",
        "",
        "  confidence 0.50",
    ]


def test_colours_do_not_change_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(printing, "coloured", lambda stream: True)
    shown = "\n".join(printing.answer_lines(several(), None))
    assert "\x1b[33m[unsupported]" in shown
    bare = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert max(map(len, bare.split("\n"))) <= 30
    monkeypatch.setattr(printing, "coloured", lambda stream: False)
    plain = "\n".join(printing.answer_lines(several(), None))
    assert bare.split() == plain.replace("[It", "It").replace("Ann]", "Ann").split()
