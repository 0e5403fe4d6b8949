"""Span selection against brute force over every pair of positions."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.spans import Reading, best_spans, log_normalise
from ragqa.windows import TokenText, Window

HEAD = 3  # [CLS] query [SEP]

Case = tuple[list[TokenText], list[Window], list[int], npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def text_of(tokens: int, breaks: tuple[int, ...] = ()) -> TokenText:
    """A text whose token k covers characters [3k, 3k + 2); a paragraph begins at each of ``breaks``."""
    starts = 3 * np.arange(tokens)
    paragraphs = np.searchsorted(sorted(breaks), np.arange(tokens), side="right")
    return TokenText(np.arange(tokens), np.stack([starts, starts + 2], 1), paragraphs.astype(np.int64))


def lay_out(lengths: list[int], room: int, overlap: int, breaks: tuple[int, ...], seed: int) -> Case:
    """Passages of the given lengths cut into overlapping windows, with random logits (2, N, L)."""
    texts = [text_of(n, breaks) for n in lengths]
    windows, owners = [], []
    for owner, length in enumerate(lengths):
        first = 0
        while True:
            size = min(room, length - first)
            windows.append(Window(np.zeros(HEAD + size + 1, dtype=np.int64), HEAD, first, size))
            owners.append(owner)
            if first + room >= length:
                break
            first += room - overlap
    width = HEAD + room + 1
    answerable = np.zeros((len(windows), width), dtype=np.bool_)
    for row, window in enumerate(windows):
        answerable[row, 0] = True
        answerable[row, HEAD : HEAD + window.length] = True
    logits = np.random.default_rng(seed).normal(scale=3, size=(2, len(windows), width))
    return texts, windows, owners, logits, answerable


def naive_log_probabilities(
    logits: npt.NDArray[np.float64], answerable: npt.NDArray[np.bool_]
) -> dict[tuple[int, int], float]:
    cells = [(r, c) for r in range(len(logits)) for c in range(logits.shape[1]) if answerable[r, c]]
    total = math.log(math.fsum(math.exp(logits[cell]) for cell in cells))
    return {cell: float(logits[cell]) - total for cell in cells}


def naive_spans(case: Case, longest: int) -> tuple[dict[tuple[int, int, int], float], float]:
    """Every admissible span with its greatest score over the windows, and the best null."""
    texts, windows, owners, logits, answerable = case
    starts, ends = (naive_log_probabilities(side, answerable) for side in logits)
    found: dict[tuple[int, int, int], float] = {}
    for row, (window, owner) in enumerate(zip(windows, owners, strict=True)):
        text = texts[owner]
        for i in range(window.length):
            for j in range(i, min(i + longest, window.length)):
                a, b = window.first + i, window.first + j
                if text.paragraphs[a] != text.paragraphs[b]:
                    continue
                key = (owner, int(text.offsets[a, 0]), int(text.offsets[b, 1]))
                score = starts[row, HEAD + i] + ends[row, HEAD + j]
                found[key] = max(score, found.get(key, -math.inf))
    return found, max(starts[r, 0] + ends[r, 0] for r in range(len(windows)))


def read(case: Case, longest: int = 30, per_passage: int = 5) -> Reading:
    texts, windows, owners, (start, end), answerable = case
    return best_spans(
        start, end, answerable, windows, owners, texts, max_answer_tokens=longest, per_passage=per_passage
    )


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=3),
    room=st.integers(4, 9),
    overlap=st.integers(0, 3),
    breaks=st.lists(st.integers(1, 13), max_size=2).map(tuple),
    longest=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)
def test_the_best_spans_are_those_of_brute_force(
    lengths: list[int], room: int, overlap: int, breaks: tuple[int, ...], longest: int, seed: int
) -> None:
    case = lay_out(lengths, room, overlap, breaks, seed)
    expected, null = naive_spans(case, longest)
    reading = read(case, longest, per_passage=3)
    assert reading.null == pytest.approx(null, abs=1e-9)
    scores = [span.log_probability for span in reading.spans]
    assert scores == sorted(scores, reverse=True)
    for owner in range(len(lengths)):
        best = sorted(((s, k) for k, s in expected.items() if k[0] == owner), reverse=True)[:3]
        mine = [s for s in reading.spans if s.passage == owner]
        assert [(s.passage, s.start, s.end) for s in mine] == [key for _, key in best]
        assert [s.log_probability for s in mine] == pytest.approx([score for score, _ in best], abs=1e-9)


def test_one_softmax_runs_over_all_windows_of_all_passages() -> None:
    _, _, _, (start, _), answerable = lay_out([12, 5, 3], 6, 2, (), seed=1)
    normalised = log_normalise(start, answerable)
    assert np.exp(normalised).sum() == pytest.approx(1)
    assert np.isneginf(normalised[~answerable]).all()
    np.testing.assert_allclose(normalised, log_normalise(start + 1000, answerable))


def test_a_passage_competes_with_the_others() -> None:
    texts, windows, owners, logits, answerable = lay_out([4, 4], 6, 0, (), seed=2)
    logits[:] = 0
    logits[:, 1, HEAD + 2] = 9
    before = read((texts, windows, owners, logits, answerable)).spans[0]
    assert (before.passage, before.start, before.end) == (1, 6, 8)
    logits[:, 0, HEAD + 1] = 9
    after = read((texts, windows, owners, logits, answerable)).spans
    assert [(s.passage, s.start, s.end) for s in after[:2]] == [(0, 3, 5), (1, 6, 8)]
    assert after[1].log_probability == pytest.approx(before.log_probability + 2 * math.log(0.5), abs=0.01)


def test_no_span_crosses_a_paragraph() -> None:
    texts, windows, owners, logits, answerable = lay_out([6], 6, 0, (3,), seed=3)
    logits[:] = 0
    logits[0, 0, HEAD + 2] = logits[1, 0, HEAD + 3] = 20  # the best start and end stand on both sides
    for span in read((texts, windows, owners, logits, answerable), per_passage=50).spans:
        assert (span.start < 9) == (span.end <= 9)


@pytest.mark.parametrize("longest", [1, 2, 5])
def test_no_span_is_longer_than_allowed(longest: int) -> None:
    spans = read(lay_out([10], 12, 0, (), seed=4), longest, per_passage=200).spans
    lengths = {(s.end - s.start + 1) // 3 for s in spans}
    assert lengths == set(range(1, longest + 1))


def test_at_most_so_many_spans_of_each_passage() -> None:
    spans = read(lay_out([8, 8, 2], 5, 2, (), seed=5), per_passage=2).spans
    assert [sum(s.passage == owner for s in spans) for owner in range(3)] == [2, 2, 2]


def test_empty_passages_leave_only_the_null() -> None:
    reading = read(lay_out([0, 0], 5, 0, (), seed=6))
    assert reading.spans == ()
    assert math.isfinite(reading.null)


def test_an_unreachable_end_is_no_span() -> None:
    texts, windows, owners, logits, answerable = lay_out([3], 5, 0, (1, 2), seed=7)
    spans = read((texts, windows, owners, logits, answerable)).spans
    assert sorted((s.start, s.end) for s in spans) == [(0, 2), (3, 5), (6, 8)]
