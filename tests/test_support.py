"""What bears a written answer out: numbers, names and negations must match, whatever else does."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragqa.support import LEAST_SUPPORT, cited, kept, support
from ragqa.types import Citation, Passage

LORA = (
    "LoRA was proposed by Edward Hu and colleagues at Microsoft in June 2021. It freezes the pretrained weights and "
    "trains two small matrices. LoRA adds no latency at inference because its matrices are merged. DoRA splits the "
    "weights into magnitude and direction. GPT-3 has 175 billion parameters, and the checkpoint shrank from 350 GB to "
    "35 MB. About 15 % of the tokens are masked, 1,200 of them twice. It is -5 degrees at 1.5 bar."
)
BRIDGE = (
    "The Orchard Bridge was designed by Maria Keller. It opened in 1931. It was not built for lorries, which use the "
    "tunnel. No more than 5 wagons may cross. It is false that the bridge was never painted."
)
CHINESE = (
    "注意力机制由瓦斯瓦尼等人在二〇一七年提出。它不需要循环结构。模型有十二层，共3.4亿个参数。LoRA不改变原来的权重。"
    "《红楼梦》有一百二十回。训练只用了百分之十五的数据。"
)
PASSAGES = (
    Passage("lora.md", 40, 40 + len(LORA), LORA, "LoRA"),
    Passage("bridge.md", 7, 7 + len(BRIDGE), BRIDGE, "The Orchard Bridge"),
    Passage("zh.md", 0, len(CHINESE), CHINESE, "注意力机制"),
)

STANDS = [
    "LoRA was proposed by Edward Hu in June 2021.",
    "Edward Hu proposed LoRA in 2021.",
    "edward hu proposed lora",
    "LoRA adds no latency at inference.",
    "LoRA doesn't add latency at inference",
    "DoRA splits the weights into magnitude and direction.",
    "LoRA trains two small matrices.",
    "LoRA trains 2 small matrices.",
    "GPT-3 has 175 billion parameters.",
    "GPT-3 has 175B parameters.",
    "The checkpoint shrank to 35 MB.",
    "15 percent of the tokens are masked.",
    "1200 of the tokens are masked twice.",
    "The Orchard Bridge was designed by Maria Keller and opened in 1931.",
    "The Orchard Bridge opened in 1931.",
    "No more than five wagons may cross.",
    "Microsoft proposed LoRA in June 2021 and masks 15 % of the tokens.",
    "1931",
    "in 1931",
    "Keller",
    "-5",
    "1.5",
    "注意力机制由瓦斯瓦尼等人在2017年提出。",
    "它不需要循环结构。",
    "循环结构",
    "模型有12层。",
    "3.4亿个参数",
    "340 million",
    "LoRA不改变权重。",
    "《红楼梦》有120回。",
    "训练用了15%的数据。",
]
FALLS = [
    "LoRA was proposed by Maria Keller in June 2021.",
    "maria keller proposed lora",
    "LoRA was proposed by Edward Hu in June 2022.",
    "LoRA was not proposed by Edward Hu in June 2021.",
    "LoRA adds latency at inference.",
    "LoRA adds latency at inference because its matrices are merged.",
    "LoRA splits the weights into magnitude and direction.",
    "LoRA trains three small matrices.",
    "GPT-3 has 175 million parameters.",
    "GPT-2 has 175 billion parameters.",
    "16 percent of the tokens are masked.",
    "The Orchard Bridge opened in 1932.",
    "The bridge was built for lorries.",
    "built for lorries",
    "More than 5 wagons may cross.",
    "more than 5",
    "not in 1931",
    "193",
    "5 degrees",
    "5 bar",
    "Paul Keller",
    "“low rank” is what LoRA freezes",
    "注意力机制由瓦斯瓦尼等人在2018年提出。",
    "它需要循环结构。",
    "需要循环结构",
    "模型有11层。",
    "二层",
    "3.5亿个参数",
    "LoRA改变原来的权重。",
    "DoRA不改变原来的权重。",
    "《西游记》有一百二十回。",
    "训练用了20%的数据。",
    "yes",
    "是",
    "the",
    ".",
]


def is_borne_out(answer: str, question: str = "") -> bool:
    found = support(answer, PASSAGES, question)
    return bool(found) and all(sentence.citations for sentence in found)


@pytest.mark.parametrize("answer", STANDS)
def test_stands(answer: str) -> None:
    assert is_borne_out(answer)


@pytest.mark.parametrize("answer", FALLS)
def test_falls(answer: str) -> None:
    assert not is_borne_out(answer)


def test_the_words_themselves_are_cited_or_the_sentences() -> None:
    quotes = {
        "maria keller.": ["Maria Keller"],
        "LoRA trains 2 small matrices.": ["It freezes the pretrained weights and trains two small matrices."],
        "The Orchard Bridge was designed by Maria Keller and opened in 1931.": [
            "The Orchard Bridge was designed by Maria Keller.",
            "It opened in 1931.",
        ],
    }
    for answer, expected in quotes.items():
        assert [citation.quote for citation in cited(support(answer, PASSAGES))] == expected


def test_two_passages_bear_out_one_sentence() -> None:
    (found,) = support("Edward Hu proposed LoRA and Maria Keller designed the Orchard Bridge.", PASSAGES)
    assert [citation.doc_id for citation in found.citations] == ["bridge.md", "lora.md"]


def test_of_several_places_the_one_that_speaks_of_the_question_is_cited() -> None:
    texts = ("The mill closed in 1931.", "The bridge opened in 1931.")
    passages = [Passage(f"{n}.md", 0, len(text), text) for n, text in enumerate(texts)]
    for question, document in (("", "0.md"), ("When did the bridge open?", "1.md")):
        (citation,) = cited(support("1931", passages, question))
        assert citation.doc_id == document


def test_a_negated_question_is_answered_out_of_a_negated_sentence() -> None:
    assert not is_borne_out("built for lorries")
    assert is_borne_out("built for lorries", "What was the bridge not made for?")


def test_nothing_and_nowhere() -> None:
    assert support("", PASSAGES) == support(" \n", PASSAGES) == ()
    (alone,) = support("It opened in 1931.", [])
    assert (alone.score, alone.citations) == (0.0, ())
    assert not support("1931", [Passage("empty.md", 0, 1, " ")])[0].citations


WORDS = sorted({word for passage in PASSAGES for word in re.findall(r"[\w%-]+", passage.text)})
SENTENCES = [
    sentence
    for passage in PASSAGES
    for sentence in re.findall(r"[A-Z注它模训《].+?(?:\.(?= |$)|。)", passage.text)
]
written = st.lists(
    st.one_of(
        st.sampled_from(STANDS + FALLS),
        st.sampled_from(SENTENCES),
        st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
        st.text(max_size=30),
    ),
    max_size=5,
).map(" ".join)


@given(written)
def test_every_citation_stands_where_it_says(answer: str) -> None:
    texts = {passage.doc_id: (passage.start, passage.text) for passage in PASSAGES}
    end = 0
    for sentence in support(answer, PASSAGES):
        assert not answer[end : sentence.start].strip()
        end = sentence.end
        assert 0 <= sentence.score <= 1
        assert bool(sentence.citations) == (sentence.score >= LEAST_SUPPORT)
        assert len(sentence.citations) <= 2
        for citation in sentence.citations:
            start, text = texts[citation.doc_id]
            assert text[citation.start - start : citation.end - start] == citation.quote != ""
    assert not answer[end:].strip()


@given(st.sampled_from(STANDS), st.integers(2, 10**7), st.data())
def test_another_number_bears_nothing_out(answer: str, number: int, data: st.DataObject) -> None:
    places = list(re.finditer(r"(?<![A-Za-z-])\d+(?:[.,]\d+)*", answer))
    assume(places)
    place = data.draw(st.sampled_from(places))
    held = "|".join(re.findall(r"\d+", LORA + BRIDGE + CHINESE))
    assume(not re.fullmatch(held, str(number)) and number not in (2, 12, 120, 2017))
    changed = f"{answer[: place.start()]}{number}{answer[place.end() :]}"
    assert not is_borne_out(changed)


@given(st.sampled_from(SENTENCES + STANDS), st.data())
def test_a_negation_more_bears_nothing_out(answer: str, data: st.DataObject) -> None:
    if re.search("[\u4e00-\u9fff]", answer):
        places = [m.start() for m in re.finditer("(?<=[机模训])(?=[制型练])|有|(?<!不)[需改]|用|由", answer)]
        assume(places)
        place = data.draw(st.sampled_from(places))
        changed = f"{answer[:place]}并非{answer[place:]}"
    else:
        places = [m.start() for m in re.finditer(r"(?<!\S)\w", answer)]
        assume(places)
        place = data.draw(st.sampled_from(places))
        word = data.draw(st.sampled_from(["not", "never", "without"]))
        changed = f"{answer[:place]}{word} {answer[place:]}"
    assert not is_borne_out(changed), changed


@given(written)
def test_strict_text_is_the_sentences_that_stand(answer: str) -> None:
    found = support(answer, PASSAGES)
    text, moved = kept(answer, found)
    stand = [answer[s.start : s.end] for s in found if s.citations]
    assert [text[s.start : s.end] for s in moved] == stand
    assert [s.citations for s in moved] == [s.citations for s in found if s.citations]
    assert "".join(text.split()) == "".join("".join(stand).split())
    if len(stand) == len(found):
        assert text == answer.strip()


def test_citations_are_told_once() -> None:
    (citation,) = cited(support("It opened in 1931. It opened in 1931.", PASSAGES))
    assert citation == Citation("bridge.md", 7 + 49, 7 + 66, "It opened in 1931")
