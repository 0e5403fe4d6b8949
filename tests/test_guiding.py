"""What may not be written next: pieces that make no word of the source, and what would go in circles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.guiding import Guide, repeating


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


A, B, END = 0, 1, 2
X, Y, Z = 3, 4, 5
INNER = np.array([False, False, False, True, True, True])
SOURCE = [[Y, A, X, Y, B, A, X, Z], [B]]  # …y axy b axz | b: the first row begins within a word


@pytest.mark.parametrize(
    ("written", "copied", "left"),
    [
        ([], [], {A, B, END}),  # a text begins with a word
        ([A], [False], {A, B, END, X}),  # of the vocabulary, or the beginning of one of the source
        ([A], [True], {X}),  # copied: what the source has is longer
        ([B], [True], {A, B, END}),  # whole in the source, and never longer there
        ([B, A, X], [True] * 3, {Y, Z}),
        ([A, X], [False, False], {Y, Z}),  # whoever wrote it
        ([A, X, Z], [True] * 3, {A, B, END}),
    ],
)
def test_pieces_make_words_of_the_source(written: list[int], copied: list[bool], left: set[int]) -> None:
    shut = Guide(SOURCE, INNER).shut_out(written, copied)
    assert set(range(len(INNER))) - set(shut.tolist()) == left


def test_where_only_a_circle_goes_on_it_goes_on() -> None:
    guide = Guide([[A, X, X, X, X]], INNER)
    assert repeating([A, X, X, X]) == [X]
    assert guide.shut_out([A, X, X, X], [True] * 4).tolist() == [A, B, END, Y, Z]


words = st.lists(
    st.builds(
        lambda first, rest: [first, *rest], st.sampled_from([A, B]), st.lists(st.sampled_from([X, Y, Z]))
    ),
    min_size=1,
    max_size=6,
)


@given(words, st.data())
def test_whatever_is_chosen_of_the_rest_long_words_are_those_of_the_source(
    source: list[list[int]], data: st.DataObject
) -> None:
    guide = Guide([[token for word in source for token in word]], INNER)
    written: list[int] = []
    copied: list[bool] = []
    while len(written) < 30 and (not written or written[-1] != END):
        left = sorted(set(range(len(INNER))) - set(guide.shut_out(written, copied).tolist()))
        written.append(data.draw(st.sampled_from(left)))
        copied.append(data.draw(st.booleans()))
    found: list[list[int]] = []
    for token in written:
        if INNER[token]:
            found[-1].append(token)
        else:
            found.append([token])
    whole = found if written[-1] == END else found[:-1]  # the last may have been cut at thirty
    assert all(word in source for word in whole if len(word) > 1)
