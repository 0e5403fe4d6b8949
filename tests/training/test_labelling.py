"""Labels from answers alone: where an answer stands, and how likely the reader finds it there."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.data import jsonl
from ragqa.evaluation.answers import occurrences
from ragqa.span_network import ScoredPassage
from ragqa.training.labelling import Borne, borne_out, line
from ragqa.types import Example, Passage, Query, Span
from ragqa.windows import Windower, lay_out, load_tokenizer, pad, token_span


def read_of(bert: Path, texts: list[str], seed: int) -> tuple[list[Passage], list[ScoredPassage]]:
    tokenizer = load_tokenizer(bert)
    windower = Windower.of(tokenizer, 100, 4)
    rng = np.random.default_rng(seed)
    passages = [Passage(f"d{n}", 0, len(text), text) for n, text in enumerate(texts)]
    found = []
    for passage in passages:
        asked = lay_out(tokenizer, windower, "where?", [passage])
        *_, answerable = pad(asked.windows, windower)
        rows = zip(*rng.normal(size=(2, *answerable.shape)), answerable, strict=True)
        found.append(ScoredPassage(tuple(asked.windows), tuple(rows), asked.texts[0]))
    return passages, found


@given(seed=st.integers(0, 50))
def test_the_likelihood_is_the_product_of_both_shares_summed_over_the_places(
    tiny_bert: Path, seed: int
) -> None:
    texts = ["the walrus in the heron", "a toad lives in the forest", "the heron, the heron"]
    passages, read = read_of(tiny_bert, texts, seed)
    found = {b.passage.doc_id: b for b in borne_out(["the heron"], passages, read)}
    assert found.keys() == {"d0", "d2"}
    for row, words in ((0, [(3, 4)]), (2, [(0, 1), (3, 4)])):  # tokens; the comma is one
        (window,), ((*scores, answerable),) = read[row].windows, read[row].scores
        start, end = (np.exp(one) * answerable for one in scores)
        start, end = start / start.sum(), end / end.sum()
        at = window.text_at
        wanted = [start[at + first] * end[at + last] for first, last in words]
        assert found[f"d{row}"].likelihood == pytest.approx(sum(wanted))
        best = words[int(np.argmax(wanted))]
        offsets = read[row].text.offsets
        assert found[f"d{row}"].span == Span(int(offsets[best[0], 0]), int(offsets[best[1], 1]))


def test_an_occurrence_in_two_windows_counts_in_both(tiny_bert: Path) -> None:
    text = "the walrus lives in the forest " * 30
    passages, (read,) = read_of(tiny_bert, [text], 3)
    start, end, answerable = read.stacked
    p_start, p_end = (np.where(answerable, np.exp(s), 0) / np.exp(s)[answerable].sum() for s in (start, end))
    wanted, times = 0.0, []
    for span in occurrences(text, ["forest"]):
        tokens = token_span(read.text, span.start, span.end)
        assert tokens is not None
        holding = [
            (row, window.text_at + tokens[0] - window.first)
            for row, window in enumerate(read.windows)
            if window.first <= tokens[0] < window.first + window.length
        ]
        times.append(len(holding))
        wanted += sum(p_start[row, at] * p_end[row, at] for row, at in holding)
    assert set(times) == {1, 2}
    (borne,) = borne_out(["forest"], passages, [read])
    assert borne.likelihood == pytest.approx(wanted)


def test_labels_are_read_back_as_they_were_made(tmp_path: Path) -> None:
    first = Passage("a.md", 10, 34, "The lease ends in May.", "Lease")
    other, unlikely = Passage("b.md", 0, 10, "May it is.", ""), Passage("c.md", 0, 9, "Maybe May", "")
    borne = [
        Borne(first, 0.6, Span(18, 21)),
        Borne(other, 0.2, Span(0, 3)),
        Borne(unlikely, 0.01, Span(6, 9)),
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text(line(Example(Query("When?", id="7"), ("may",)), borne) + "\n", encoding="utf-8")
    (example,) = jsonl.load(path)
    assert [p.text for p in example.positives] == [first.text, other.text, unlikely.text]
    assert example.positives[0].title == "Lease"
    assert example.answers == ("May",)
    assert example.spans == (Span(18, 21),)
    assert math.fsum(example.shares) == pytest.approx(1)
    assert example.shares[1] == pytest.approx(0.2 / 0.81, abs=1e-4)
    assert example.shares[2] == 0.0
    assert json.loads(path.read_text())["document"] == "a.md"
