"""Texts written side by side: beside every text there is, and beside the likeliest token each time."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.beams import Beam, BeamSearch
from ragqa.guiding import Guide
from ragqa.surface import Written

END, WORDS = 0, 4
PLAIN = np.zeros(WORDS, dtype=np.bool_)

chains = st.integers(0, 9999).map(lambda seed: np.random.default_rng(seed).dirichlet([0.5] * WORDS, WORDS))
"""P of a token (column) after another (row); a text begins as after ``END``."""


def written(chain: np.ndarray, width: int, steps: int) -> Written:
    beam = Beam(BeamSearch(width), Guide([], PLAIN), END)
    last = [END]
    for _ in range(steps):
        parents = beam.advance(chain[last], 0.4 * chain[last])
        if beam.is_over:
            break
        assert len(parents) == len(beam.last) <= width
        last = beam.last
    return beam.ranked()[0]


def log_of(chain: np.ndarray, tokens: tuple[int, ...]) -> float:
    return float(sum(np.log(chain[pair]) for pair in zip((END, *tokens), tokens, strict=False)))


@given(chains)
def test_wide_enough_it_finds_the_best_of_all_texts(chain: np.ndarray) -> None:
    steps = 4  # fewer than a circle needs to be ruled out, but for one token four times
    found = written(chain, 500, steps)
    texts = [
        (*words, END)
        for length in range(steps)
        for words in product(range(1, WORDS), repeat=length)
        if len(set(words)) > 1 or length < 4
    ]
    best = max(log_of(chain, text) / len(text) for text in texts)
    assert found.ended
    assert found.log_probability == pytest.approx(best)
    assert log_of(chain, (*found.ids, END)) / (len(found.ids) + 1) == pytest.approx(best)


@given(chains)
def test_one_text_takes_the_likeliest_token_each_time(chain: np.ndarray) -> None:
    found = written(chain, 1, 3)
    last, expected = END, []
    for _ in range(3):
        last = int(chain[last].argmax())
        if last == END:
            break
        expected.append(last)
    assert list(found.ids) == expected
    assert found.ended == (last == END)
    assert found.copied == (False,) * len(expected)


@given(chains, st.integers(1, 5))
def test_three_tokens_never_stand_twice(chain: np.ndarray, width: int) -> None:
    ids = written(chain, width, 12).ids
    threes = [ids[at : at + 3] for at in range(len(ids) - 2)]
    assert len(set(threes)) == len(threes)


def test_worked_by_hand() -> None:
    """Greedily 1 1 … ; two side by side find 2, whose end is nearly certain."""
    chain = np.array([[0.0, 0.6, 0.4, 0.0], [0.4, 0.6, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert written(chain, 1, 2).ids == (1, 1)
    found = written(chain, 2, 2)
    assert (found.ids, found.ended) == ((2,), True)
    assert found.log_probability == pytest.approx((np.log(0.4) + np.log(0.9)) / 2)


def test_what_is_nearly_certain_goes_on_beside_others_that_ended() -> None:
    sure = np.array(
        [[0.02, 0.96, 0.01, 0.01], [0.02, 0.0, 0.96, 0.02], [0.02, 0.02, 0.0, 0.96], [1.0, 0.0, 0.0, 0.0]]
    )
    assert written(sure, 2, 9).ids == (1, 2, 3)


def test_a_token_that_never_follows_is_taken_where_nothing_else_is_left() -> None:
    beam = Beam(BeamSearch(), Guide([[1, 2]], np.array([False, False, True, False])), END)
    beam.advance(np.array([[0.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0, 0.0]]))
    beam.advance(np.array([[1.0, 0.0, 0.0, 0.0]]), np.zeros((1, 4)))
    assert beam.last == [2]


@given(chains, st.integers(1, 5))
def test_all_texts_that_ended_are_told_the_likeliest_first(chain: np.ndarray, width: int) -> None:
    beam = Beam(BeamSearch(width), Guide([], PLAIN), END)
    last = [END]
    for _ in range(6):
        beam.advance(chain[last], 0.4 * chain[last])
        if beam.is_over:
            break
        last = beam.last
    found = beam.ranked()
    assert 1 <= len(found) <= width
    assert len({one.ids for one in found}) == len(found)
    assert [one.log_probability for one in found] == sorted(
        (one.log_probability for one in found), reverse=True
    )
    for one in found:
        tokens = (*one.ids, END) if one.ended else one.ids
        assert one.log_probability == pytest.approx(log_of(chain, tokens) / len(tokens))
