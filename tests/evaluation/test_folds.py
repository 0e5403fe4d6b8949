"""Folds: no group in two of them, all about as full, the same each time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.evaluation.folds import by_group


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=60), st.integers(2, 4))
def test_a_group_is_whole_and_no_fold_is_a_group_fuller_than_another(groups: list[str], count: int) -> None:
    if len(set(groups)) < count:
        with pytest.raises(ValueError, match="make no"):
            by_group(groups, count)
        return
    fold_of = by_group(groups, count)
    assert len({(group, int(fold)) for group, fold in zip(groups, fold_of, strict=True)}) == len(set(groups))
    sizes = Counter(fold_of.tolist())
    assert sizes.keys() == set(range(count))
    assert max(sizes.values()) - min(sizes.values()) <= max(Counter(groups).values())


def test_the_seed_decides_and_the_order_of_questions_does_not() -> None:
    groups = [str(number % 20) for number in range(60)]
    there = dict(zip(groups, by_group(groups, 5).tolist(), strict=True))
    back = dict(zip(groups[::-1], by_group(groups[::-1], 5).tolist(), strict=True))
    assert there == back
    assert by_group(groups, 5, seed=1).tolist() != by_group(groups, 5).tolist()
