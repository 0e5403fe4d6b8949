"""A reranker reorders what it reads, loses nothing, and keeps scores comparable."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.errors import ConfigError, ModelError
from ragqa.rerankers.cross_encoder import LEG, CrossEncoderReranker, Mixture, combined
from ragqa.rerankers.none import NoneReranker
from ragqa.types import Hit, Passage, Query


def hits_of(scores: Sequence[float]) -> list[Hit]:
    ordered = sorted(scores, reverse=True)
    return [Hit(Passage("d", n, n + 1, "x"), score, {"bm25": 1.0}) for n, score in enumerate(ordered)]


unit = st.floats(0, 1)
logits = st.floats(-20, 20)


mixtures = st.builds(Mixture, unit, st.none() | st.floats(0.1, 40))


@given(st.lists(unit, min_size=1, max_size=8), st.lists(logits, max_size=8), mixtures)
def test_every_hit_stays_in_the_order_of_scores_between_0_and_1(
    scores: list[float], said: list[float], mixture: Mixture
) -> None:
    before = hits_of(scores)
    after = combined(before, said[: len(before)], mixture)
    assert sorted(h.passage.id for h in after) == sorted(h.passage.id for h in before)
    values = [h.score for h in after]
    assert values == sorted(values, reverse=True)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in values)
    assert {h.passage.id: h.fused for h in after} == {h.passage.id: h.score for h in before}
    read = {h.passage.id for h in before[: len(said)]}
    assert {h.passage.id for h in after if LEG in h.legs} == read


@given(st.lists(unit, min_size=1, max_size=8, unique=True), st.lists(logits, min_size=8, max_size=8))
def test_without_weight_the_order_stays_and_with_all_of_it_the_model_decides(
    scores: list[float], said: list[float]
) -> None:
    before = hits_of(scores)
    mine = said[: len(before)]
    assert [h.passage.id for h in combined(before, mine, Mixture(0.0))] == [h.passage.id for h in before]
    alone = combined(before, mine, Mixture(1.0))
    best = max(mine)
    if max(mine) - min(mine) > 1e-6:
        assert alone[0].legs[LEG] == pytest.approx(best, abs=1e-5)


def test_a_model_that_hardly_tells_the_candidates_apart_leaves_them_in_order() -> None:
    before = hits_of([0.8, 0.6])
    mixture = Mixture(0.5, 10.0)
    unsure, sure = combined(before, [1.0, 1.2], mixture), combined(before, [-3.0, 4.0], mixture)
    assert [hit.score for hit in unsure] == pytest.approx([0.5 * (1 - 0.02) + 0.4, 0.5 + 0.3])
    assert [hit.score for hit in sure] == pytest.approx([0.5 + 0.3, 0.5 * (1 - 0.7) + 0.4])
    assert [hit.fused for hit in sure] == [0.6, 0.8]
    # With its own spread the smallest difference is the whole one.
    assert combined(before, [1.0, 1.2], Mixture(0.5))[0].fused == 0.6


def test_no_reranker_is_a_reranker_that_changes_nothing() -> None:
    hits = [hits_of([0.9, 0.1]), []]
    assert NoneReranker().rerank([Query("a"), Query("b")], hits) == hits
    assert NoneReranker().candidates == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"candidates": 0}, "reranker.candidates = 0"),
        ({"weight": 1.5}, "reranker.weight = 1.5"),
        ({"max_milliseconds": 0.0}, "reranker.max_milliseconds = 0.0"),
    ],
)
def test_a_value_out_of_range_is_named(options: dict[str, float], found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CrossEncoderReranker(**options)  # type: ignore[arg-type]
    assert caught.value.found == found


def test_a_folder_without_a_reranker_is_named() -> None:
    with pytest.raises(ModelError, match="no/such/folder holds no reranker"):
        CrossEncoderReranker(model="no/such/folder")


def test_the_shipped_reranker_puts_the_passage_that_answers_first() -> None:
    texts = {
        "opened": "The Orchard Bridge was opened by the mayor in 1931, after four years of work on its piers.",
        "painted": "Every spring the railings of the Orchard Bridge are painted green by the rowing club.",
        "length": "The Orchard Bridge is 312 metres long and has seven arches of red sandstone.",
    }
    hits = [
        Hit(Passage(name, 0, len(text), text, "Orchard Bridge"), 0.9 - place / 10)
        for place, (name, text) in enumerate(texts.items())
    ]
    asked = {
        "length": "How long is the Orchard Bridge?",
        "painted": "Who paints the railings of the Orchard Bridge?",
        "opened": "When was the Orchard Bridge opened?",
    }
    reranker = CrossEncoderReranker()
    found = reranker.rerank([Query(question) for question in asked.values()], [hits] * 3)
    assert [mine[0].passage.doc_id for mine in found] == list(asked)
    (untouched,) = reranker.rerank([Query("这座桥有多长？")], [hits])
    assert [hit.passage for hit in untouched] == [hit.passage for hit in hits]
