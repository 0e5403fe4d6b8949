"""Sentences taken out of their passages: only such as stand there alone, and the search does not see them."""

from pathlib import Path

import numpy as np

from ragqa.config import Config
from ragqa.encoders.hashing import HashingEncoder
from ragqa.made_questions import clozes, make
from ragqa.types import Passage

BOILERPLATE = "All rights to these notes remain with the town archive."


def passage(number: int, *sentences: str) -> Passage:
    text = " ".join(sentences)
    return Passage(f"{number}.md", 0, len(text), text, title="Bridges")


def town() -> list[Passage]:
    told = [
        passage(
            number,
            f"The keeper of gate {number} counted wagons, oxen and travelling merchants.",
            f"Bridge {number} rests upon limestone quarried beside the village {number}.",
            BOILERPLATE,
        )
        for number in range(8)
    ]
    return [
        *told,
        passage(8, "Closed.", "Nothing else."),
        passage(9, "One sentence only, however many words it has in all."),
    ]


def test_a_sentence_is_asked_that_stands_in_one_passage_alone() -> None:
    passages = town()
    found = clozes(passages, 20, seed=0)
    assert [one.row for one in found] == list(range(8))  # not those too short to leave anything
    for one in found:
        assert one.passage is passages[one.row]
        assert one.question in one.passage.text
        assert one.question != BOILERPLATE
        assert one.question not in one.rest.text
        kept = one.rest.text.split()
        assert sorted(kept + one.question.split()) == sorted(one.passage.text.split())
        assert (one.rest.doc_id, one.rest.title) == (one.passage.doc_id, "Bridges")
    assert clozes(passages, 3, seed=0) == clozes(passages, 3, seed=0)
    assert len(clozes(passages, 3, seed=0)) == 3


def test_chinese_sentences_of_usual_length_are_asked() -> None:
    told = [
        "守门人每天清点过桥的马车。",
        "石桥的每一根桥墩都用附近村庄出产的青灰色石灰岩砌成。",
        "镇志记载洪水冲毁旧木桥之后，居民凑钱请来邻县工匠，花费整整三年才把这座新桥建成。",
    ]
    others = ["本镇档案馆保留一切权利。", "请勿转载。"]
    passages = [
        Passage(f"{number}.md", 0, 0, "".join([sentence, *others])) for number, sentence in enumerate(told)
    ]
    assert [one.question for one in clozes(passages, 10, seed=0)] == told
    list_of_names = "、".join(chr(0x4E00 + number) for number in range(60)) + "。"
    assert clozes([Passage("names.md", 0, 0, "".join([list_of_names, *others * 2]))], 10, seed=0) == []


def test_the_search_is_over_the_passages_without_the_sentences(tmp_path: Path) -> None:
    passages, encoder = town(), HashingEncoder()
    config = Config.from_values({"encoder": "hashing", "store": "numpy", "lexical": "rank_bm25"})
    vectors = encoder.encode_passages([p.titled_text for p in passages])
    before = vectors.copy()
    made = make(passages, vectors, encoder, config, count=8)
    np.testing.assert_array_equal(vectors, before)
    asked = made.questions[0]
    assert asked.rows == (0,)
    (dense, bm25), *_ = made.search.legs([asked.example.query.text], 10)
    rest = clozes(passages, 8, seed=0)[0].rest
    vector = encoder.encode_queries([asked.example.query.text])[0]
    assert np.isclose(dense[0], vector @ encoder.encode_passages([rest.titled_text])[0])
    # Every word but those of the other sentences is gone with it, for BM25 too.
    whole = make(passages, vectors, encoder, config, count=0).search.legs([asked.example.query.text], 10)[0][
        1
    ]
    assert bm25.get(0, 0.0) < whole[0]
