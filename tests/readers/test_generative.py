"""Written answers as values: their sentences, their sources, and what strictness leaves of them."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from ragqa.drafts import Draft
from ragqa.errors import ConfigError
from ragqa.readers import generative
from ragqa.types import Answer, Hit, Passage, Query

TEXT = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
HITS = [Hit(Passage("bridge.md", 20, 20 + len(TEXT), TEXT, "The Orchard Bridge"), 1.0)]
TRUE, ALSO, FALSE = "It was designed by Maria Keller.", "It opened in 1931.", "It fell down in 1932."


class Scripted:
    """Writes what it was told to."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]], *_: Any, **__: Any
    ) -> list[Draft]:
        return [Draft(self.text, math.log(0.5), tuple(mine), 0, is_cut=False) for mine in passages]


def read(monkeypatch: pytest.MonkeyPatch, text: str, hits: Sequence[Hit] = HITS, **options: Any) -> Answer:
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: Scripted(text))
    (answer,) = generative.GenerativeReader(**options).read([Query("What of the bridge?")], [hits])
    for sentence in answer.sentences:
        assert set(sentence.citations) <= set(answer.citations)
    for citation in answer.citations:
        assert TEXT[citation.start - 20 : citation.end - 20] == citation.quote
    return answer


def test_each_sentence_carries_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = read(monkeypatch, f"{TRUE} {FALSE} {ALSO}")
    assert answer.text == f"{TRUE} {FALSE} {ALSO}"
    assert [answer.text[s.start : s.end] for s in answer.sentences] == [TRUE, FALSE, ALSO]
    assert [len(s.citations) for s in answer.sentences] == [1, 0, 1]
    assert [c.quote for c in answer.citations] == [
        "The Orchard Bridge was designed by Maria Keller.",
        "It opened in 1931",
    ]
    assert answer.sentence == "The Orchard Bridge was designed by Maria Keller."
    assert answer.details["unsupported"] == 1
    assert answer.confidence == pytest.approx(0.5)


def test_strictness_leaves_what_is_borne_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = read(monkeypatch, f"{FALSE} {TRUE} {FALSE} {ALSO}", strict=True)
    assert answer.text == f"{TRUE} {ALSO}"
    assert [answer.text[s.start : s.end] for s in answer.sentences] == [TRUE, ALSO]
    assert answer.candidate == f"{FALSE} {TRUE} {FALSE} {ALSO}"


@pytest.mark.parametrize("strict", [False, True])
def test_no_support_at_all_is_no_answer(monkeypatch: pytest.MonkeyPatch, strict: bool) -> None:
    for text in (FALSE, f"{FALSE} {FALSE}", "", "not in these documents."):
        answer = read(monkeypatch, text, strict=strict)
        assert (answer.text, answer.confidence) == (None, 0.0)
        assert (answer.sentences, answer.citations) == ((), ())


def test_from_memory_nothing_is_borne_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = read(monkeypatch, f"{TRUE} {ALSO}", hits=[], closed_book=True)
    assert [(s.score, s.citations) for s in answer.sentences] == [(0.0, ()), (0.0, ())]
    assert read(monkeypatch, TRUE, hits=[], closed_book=True, strict=True).text is None
    assert read(monkeypatch, TRUE, hits=[]).text is None


def test_the_threshold_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, TRUE, threshold=0.4).text == TRUE
    assert read(monkeypatch, TRUE, threshold=0.6).text is None
    with pytest.raises(ConfigError, match="threshold"):
        read(monkeypatch, TRUE, threshold=1.1)


def test_what_repeats_itself_without_end_is_not_borne_out(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "Maria Keller and sv" + "ik" * 60
    answer = read(monkeypatch, endless)
    assert (answer.text, answer.confidence) == (None, 0.0)
    assert "repeated itself without end" in answer.note
    answer = read(monkeypatch, f"{TRUE} {endless}")
    assert answer.text is not None
    assert answer.text.startswith(f"{TRUE} Maria Keller and svik")
    assert [len(s.citations) for s in answer.sentences] == [1, 0]
    assert read(monkeypatch, f"{TRUE} {endless}", strict=True).text == TRUE


def test_a_question_in_a_language_that_the_shipped_model_does_not_know_is_answered_by_quoting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others beside it are written; whoever listens hears what is quoted."""
    text = "果园里有苹果树。苹果树在四月开花。"
    hit = Hit(Passage("果园.md", 0, len(text), text), 1.0)
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: Scripted("in 1931"))
    reader = generative.GenerativeReader()
    english, chinese = reader.read([Query("When?"), Query("苹果树在几月开花？")], [HITS, [hit]])
    assert english.candidate == "in 1931"
    assert "四月" in chinese.candidate
    assert "does not write Chinese" in chinese.note
    heard: list[str] = []
    assert reader.stream(Query("苹果树在几月开花？"), [hit], heard.append) == chinese
    assert "".join(heard) == (chinese.text or "")
