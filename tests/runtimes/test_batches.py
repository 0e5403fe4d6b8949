"""Batches: every text once, bounded in tokens, padding at the end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragqa.runtimes.batches import pad, plan, widened

LENGTHS = st.lists(st.integers(1, 600), max_size=200)


@given(lengths=LENGTHS, max_tokens=st.integers(1, 5000), max_rows=st.integers(1, 40))
def test_each_row_stands_in_one_batch_within_both_limits(
    lengths: list[int], max_tokens: int, max_rows: int
) -> None:
    batches = plan(lengths, max_tokens, max_rows)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[row] for row in batch)
        assert len(batch) <= max_rows
        assert padded <= max_tokens or len(batch) == 1


@given(lengths=LENGTHS)
def test_batches_come_longest_first(lengths: list[int]) -> None:
    ordered = [lengths[row] for batch in plan(lengths, 4096) for row in batch]
    assert ordered == sorted(lengths, reverse=True)


@given(lengths=LENGTHS)
def test_little_is_padding(lengths: list[int]) -> None:
    for batch in plan(lengths, 4096):
        width = lengths[batch[0]]
        real = sum(lengths[row] for row in batch)
        assert len(batch) * width <= max(real / 0.8, 256 + width)


@given(st.lists(st.lists(st.integers(1, 30000), min_size=1, max_size=40), min_size=1, max_size=8))
def test_padding_hides_behind_the_mask(rows: list[list[int]]) -> None:
    ids, mask, kinds = pad(rows)
    assert ids.shape == mask.shape == kinds.shape == (len(rows), max(map(len, rows)))
    assert [list(line[seen == 1]) for line, seen in zip(ids, mask, strict=True)] == rows
    assert not ids[mask == 0].any()
    assert not kinds.any()
    assert all(np.all(np.diff(seen) <= 0) for seen in mask)  # tokens first, padding after


@given(
    st.lists(st.lists(st.integers(1, 30000), min_size=1, max_size=40), min_size=1, max_size=8),
    st.integers(1, 16),
)
def test_a_widened_batch_has_more_padding_and_nothing_else(rows: list[list[int]], step: int) -> None:
    batch = pad(rows)
    wide = widened(batch, step)
    width = batch.ids.shape[1]
    for before, after in zip(batch, wide, strict=True):
        assert after.shape[1] % step == 0
        assert width <= after.shape[1] < width + step
        assert (after[:, :width] == before).all()
        assert not after[:, width:].any()
