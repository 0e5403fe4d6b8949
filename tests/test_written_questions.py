"""Questions by the shipped generator, for answers in a passage, read by the shipped reader."""

import pytest

from ragqa import pretrained
from ragqa.backbone import BUILTIN
from ragqa.evaluation.answers import exact_match
from ragqa.readers.extractive import ExtractiveReader
from ragqa.types import Hit, Passage, Query, Span
from ragqa.writing import PointerWriter, open_writer
from ragqa.written_questions import questions_for

TEXT = (
    "The Orchard Bridge was designed by Maria Keller and opened in 1931. It replaced a ferry that had carried barley "
    "to the Harbour Mill. Thomas Brandt, the miller, paid 4,000 crowns towards its towers of granite."
)
ANSWERS = ("Maria Keller", "1931", "a ferry", "barley", "Thomas Brandt", "4,000 crowns", "granite", " ")


@pytest.fixture(scope="module")
def writer() -> PointerWriter:
    found = open_writer(pretrained.folder_of("generator", BUILTIN))
    assert isinstance(found, PointerWriter)
    return found


def test_the_likeliest_that_leads_back_is_taken_else_the_closest(writer: PointerWriter) -> None:
    passages = [Passage("bridge", 0, len(TEXT), TEXT)] * len(ANSWERS)
    spans = [Span(start := TEXT.index(answer), start + len(answer)) for answer in ANSWERS]
    reader = ExtractiveReader()
    found = questions_for(writer, reader, passages, spans)
    assert (found[-1].text, found[-1].leads_back) == ("", False)
    assert sum(one.leads_back for one in found) >= len(ANSWERS) / 2
    drafts = writer.ask(passages, spans)
    assert any(one.text not in ("", mine[0].text) for one, mine in zip(found, drafts, strict=True))
    for answer, one, mine in zip(ANSWERS[:-1], found, drafts, strict=False):
        texts = list(dict.fromkeys(draft.text for draft in mine))
        assert len(texts) > 1
        read = reader.read([Query(text) for text in texts], [[Hit(passages[0], 1.0)]] * len(texts))
        back = [text for text, said in zip(texts, read, strict=True) if exact_match(said.candidate, [answer])]
        assert one.leads_back == bool(back)
        assert one.text == back[0] if back else one.text in texts
