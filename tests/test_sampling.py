"""How tokens are chosen: what would go in circles is ruled out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.sampling import repeating


@pytest.mark.parametrize(
    ("written", "ruled_out"),
    [
        ([], []),
        ([1], []),
        ([1, 1], []),
        ([1, 1, 1], [1]),
        ([1, 2, 3, 1, 2], [3]),
        ([1, 2, 3, 1, 2, 4, 1, 2], [3, 4]),
        ([1, 2, 3, 2, 1], []),
    ],
)
def test_a_third_token_that_follows_two_as_before_is_ruled_out(
    written: list[int], ruled_out: list[int]
) -> None:
    assert repeating(written) == ruled_out


@given(st.data())
def test_whatever_is_chosen_of_the_rest_no_three_tokens_stand_twice(data: st.DataObject) -> None:
    written: list[int] = []
    for _ in range(30):
        left = sorted(set(range(4)) - set(repeating(written)))
        if not left:
            break
        written.append(data.draw(st.sampled_from(left)))
    threes = [tuple(written[at : at + 3]) for at in range(len(written) - 2)]
    assert len(set(threes)) == len(threes)
