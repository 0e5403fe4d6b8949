"""What every lexical index must do; a new file in ``ragqa/indexes`` is enrolled by its name."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragqa import plugins
from ragqa.errors import ConfigError, IndexDamaged
from ragqa.protocols import TermIndex

NAMES = plugins.names("indexes")
Terms = Sequence[Sequence[str]]

texts_of_terms = st.lists(
    st.lists(st.sampled_from(["tea", "rice", "水", "水稻", "x'y", "a b", ""]), max_size=8), max_size=7
)


def filled(name: str, texts: Terms, **options: float) -> TermIndex:
    index: TermIndex = plugins.build("indexes", {"name": name, **options})
    index.add(texts)
    return index


def formula(texts: Terms, query: Sequence[str], k1: float = 1.2, b: float = 0.75) -> list[float]:
    """BM25 as it stands in the books, term by term, with Lucene's idf."""
    average = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        counts, total = Counter(text), 0.0
        for term in query:
            holding = sum(term in other for other in texts)
            if counts[term]:
                idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
                total += idf * counts[term] / (counts[term] + k1 * (1 - b + b * len(text) / average))
        scores.append(total)
    return scores


def random_texts(count: int, seed: int, words: int = 200) -> list[list[str]]:
    """Words drawn by Zipf's law, as language has them."""
    drawn = np.random.default_rng(seed)
    odds = 1 / np.arange(1, words + 1)
    return [
        [f"w{n}" for n in drawn.choice(words, size=drawn.integers(0, 40), p=odds / odds.sum())]
        for _ in range(count)
    ]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=texts_of_terms, query=st.lists(st.sampled_from(["tea", "水", "a b", "", "unknown"]), max_size=4))
def test_scores_are_proportional_to_the_formula(name: str, texts: list[list[str]], query: list[str]) -> None:
    ((scores, rows),) = filled(name, texts).search([query], 100)
    wanted = np.array(formula(texts, query)) if texts and any(texts) else np.zeros(len(texts))
    assert sorted(rows.tolist()) == np.flatnonzero(wanted > 0).tolist()
    factor = 1.0 if name == "bm25" else 2.2  # rank_bm25 multiplies by k1 + 1
    np.testing.assert_allclose(scores, factor * wanted[rows], rtol=1e-5)


def test_every_index_ranks_as_the_oracle(name: str) -> None:
    texts, queries = random_texts(300, 1), [q[:5] for q in random_texts(30, 2)]
    found = filled(name, texts).search(queries, 20)
    wanted = filled("rank_bm25", texts).search(queries, 300)
    for (scores, rows), (oracle_scores, oracle_rows) in zip(found, wanted, strict=True):
        judged = dict(zip(oracle_rows.tolist(), oracle_scores.tolist(), strict=True))
        assert len(rows) == min(20, len(judged))
        factor = 2.2 if name == "bm25" else 1.0
        np.testing.assert_allclose(factor * scores, [judged[row] for row in rows.tolist()], rtol=1e-5)
        np.testing.assert_allclose(factor * scores, oracle_scores[: len(rows)], rtol=1e-5)


def test_best_first_equal_scores_by_row_never_more_than_top_k(name: str) -> None:
    texts = [["a"], ["b", "a"], ["a"], ["c"], ["a"], ["b", "a"]]
    ((scores, rows),) = filled(name, texts).search([["a"]], 4)
    assert rows.tolist() == [0, 2, 4, 1]
    assert scores[0] == scores[1] == scores[2] > scores[3] > 0
    assert filled(name, texts).search([["a"]], 0)[0][1].tolist() == []


def test_a_corpus_of_two_passages_is_searched(name: str) -> None:
    ((_, rows),) = filled(name, [["a", "b"], ["c"]]).search([["c"]], 5)
    assert rows.tolist() == [1]


@pytest.mark.parametrize("texts", [[], [[]], [[], []]])
def test_a_corpus_without_terms_has_no_hits_and_survives_saving(
    name: str, texts: Terms, tmp_path: Path
) -> None:
    index = filled(name, texts)
    index.save(tmp_path)
    loaded: TermIndex = plugins.build("indexes", {"name": name})
    loaded.load(tmp_path)
    for each in (index, loaded):
        assert [rows.tolist() for _, rows in each.search([["a"], []], 5)] == [[], []]


def test_unknown_terms_are_ignored_and_an_empty_query_finds_nothing(name: str) -> None:
    index = filled(name, [["a"], ["b"], ["c"]])
    with_unknown, without, empty = index.search([["zebra", "a"], ["a"], []], 5)
    np.testing.assert_array_equal(with_unknown[0], without[0])
    assert with_unknown[1].tolist() == [0]
    assert empty[1].tolist() == []


def test_the_order_of_the_query_terms_does_not_matter(name: str) -> None:
    index = filled(name, random_texts(100, 3))
    query = [f"w{n}" for n in range(12)]
    first, second = index.search([query, query[::-1]], 100)
    np.testing.assert_allclose(first[0], second[0], rtol=1e-6)
    np.testing.assert_array_equal(first[1], second[1])


def test_a_loaded_index_answers_as_the_saved_one(name: str, tmp_path: Path) -> None:
    texts, queries = random_texts(200, 4), [q[:6] for q in random_texts(20, 5)]
    index = filled(name, texts, k1=0.9, b=0.4)
    index.save(tmp_path)
    loaded: TermIndex = plugins.build("indexes", {"name": name})
    loaded.load(tmp_path)
    for before, after in zip(index.search(queries, 30), loaded.search(queries, 30), strict=True):
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[1], after[1])


def test_the_same_texts_give_the_same_files_whatever_was_indexed_before(name: str, tmp_path: Path) -> None:
    written: list[dict[str, bytes]] = []
    for before in ([], [["z", "y"], ["a"]]):
        filled(name, before)
        folder = tmp_path / str(len(written))
        folder.mkdir()
        filled(name, random_texts(50, 6)).save(folder)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]


def test_texts_are_added_once(name: str) -> None:
    index = filled(name, [["a"]])
    with pytest.raises(ValueError, match="once"):
        index.add([["b"]])


@pytest.mark.parametrize("options", [{"k1": 0.0}, {"k1": -1.0}, {"b": 1.5}, {"b": -0.1}])
def test_parameters_outside_their_range_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="k1"):
        filled(name, [["a"]], **options)


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_the_ends_of_the_length_parameter_work(name: str, b: float) -> None:
    ((scores, rows),) = filled(name, [["a"], [], ["a", "b", "b"]], b=b).search([["a"]], 5)
    assert rows.tolist() == [0, 2]
    assert (scores[0] == scores[1]) == (b == 0.0)


def test_a_missing_or_shortened_file_is_named(name: str, tmp_path: Path) -> None:
    filled(name, random_texts(40, 7)).save(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], whole[:-8], None):
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            with pytest.raises(IndexDamaged, match=str(tmp_path)):
                plugins.build("indexes", {"name": name}).load(tmp_path)
        path.write_bytes(whole)
