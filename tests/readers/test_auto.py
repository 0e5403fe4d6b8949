"""Which of two answers is taken, and that it says so."""

import pytest

from ragqa.errors import PluginError
from ragqa.readers.auto import AutoReader, agrees, chosen
from ragqa.types import Answer, Citation, Hit, Passage, Query, Supported

SENTENCE = "LoRA was proposed by Edward Hu and colleagues at Microsoft in June 2021."
HITS = (Hit(Passage("lora.md", 0, len(SENTENCE), SENTENCE, "LoRA"), 1.0),)
QUOTED = Answer(
    "Edward Hu", 0.7, (), HITS, sentence=SENTENCE, details={"threshold": 0.2}, candidate="Edward Hu"
)


def written(text: str, *, borne_out: bool = True) -> Answer:
    source = (Citation("lora.md", 0, len(SENTENCE), SENTENCE),) if borne_out else ()
    sentences = (Supported(0, len(text), 0.9, source),)
    return Answer(text if borne_out else None, 0.9, source, HITS, candidate=text, sentences=sentences)


@pytest.mark.parametrize(
    ("text", "span", "sentence", "same"),
    [
        ("Edward Hu", "Edward Hu", SENTENCE, True),
        ("edward hu.", "Edward Hu", SENTENCE, True),
        ("Hu", "Edward Hu and colleagues at Microsoft", SENTENCE, True),
        ("LoRA was proposed by Edward Hu.", "Edward Hu", SENTENCE, True),
        ("It was proposed by Edward Hu in June 2021.", "Edward Hu", SENTENCE, True),
        ("Microsoft", "Edward Hu", SENTENCE, False),
        ("LoRA was proposed in June 2021.", "Edward Hu", SENTENCE, False),
        ("Edward Hu likes long walks along quiet rivers", "Edward Hu", SENTENCE, False),
        ("of Hu of Hu of Hu of Hu of Hu Edward of Hu of", "Edward Hu", SENTENCE, False),
        ("", "Edward Hu", SENTENCE, False),
        ("十二层", "模型有十二层", "模型有十二层。", True),
        ("十一个", "九层", "模型有九层。", False),
    ],
)
def test_agreement(text: str, span: str, sentence: str, same: bool) -> None:
    assert agrees(text, span, sentence) == same


def test_the_written_answer_is_taken_where_it_agrees() -> None:
    answer = chosen(QUOTED, written("LoRA was proposed by Edward Hu."))
    assert answer.text == "LoRA was proposed by Edward Hu."
    assert answer.confidence == QUOTED.confidence
    assert answer.citations == answer.sentences[0].citations
    assert answer.details["took"] == "generative"
    assert answer.details["extracted"] == "Edward Hu"
    assert answer.details["threshold"] == 0.2
    assert "took what the generator wrote" in answer.note


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (written("Microsoft"), "something else"),
        (written("Edward Hu", borne_out=False), "no passage bears out"),
        (written("", borne_out=False), "wrote nothing"),
    ],
)
def test_the_quoted_answer_is_taken_elsewhere(other: Answer, why: str) -> None:
    answer = chosen(QUOTED, other)
    assert (answer.text, answer.sentences) == (QUOTED.text, QUOTED.sentences)
    assert answer.details["took"] == "extractive"
    assert answer.details["generated"] == other.candidate
    assert answer.note.startswith("took the words found: ")
    assert why in answer.note


def test_the_options_of_both_readers_are_checked_before_any_is_loaded() -> None:
    for options in ({"extractive": {"prompt": "x"}}, {"generative": {"retrieval_weight": 1.0}}):
        with pytest.raises(PluginError, match="takes no option"):
            AutoReader(**options)


def test_what_only_one_of_them_can_do() -> None:
    """Refusals and Chinese questions are the extractive reader's, and never load the generator."""
    text = "苹果树在四月开花。果实在九月成熟。"
    hits = [Hit(Passage("果园.md", 0, len(text), text), 1.0)]
    reader = AutoReader(extractive={"threshold": 0.0})
    (answer,) = reader.read([Query("苹果树什么时候开花？")], [hits])
    assert answer.text == "苹果树在四月开花。"
    assert answer.details["took"] == "extractive"
    assert "does not write Chinese" in answer.note
    doubtful = AutoReader(extractive={"threshold": 1.0})
    (refused,) = doubtful.read([Query("Who proposed LoRA?")], [HITS])
    assert refused.text is None
    assert "_generative" not in reader.__dict__ | doubtful.__dict__
