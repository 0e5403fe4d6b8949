"""Follow-up questions completed by rules: what they must become, and what always holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa import plugins
from ragqa.analysis import is_han, terms
from ragqa.followups import chinese, english
from ragqa.followups.english_parse import parse
from ragqa.rewriters.none import NoneRewriter
from ragqa.rewriters.rules import RulesRewriter
from ragqa.types import Turn

History = list[tuple[str, str | None]]

LORA: History = [("Who proposed LoRA?", "Edward Hu and colleagues")]
WATSON: History = [("Who led the Watson project?", "David Ferrucci")]
BIDAF: History = [("What F1 does BiDAF reach on SQuAD v1.1?", "77.3")]


def rewritten(history: History, question: str) -> str:
    turns = [Turn(asked, asked, answer) for asked, answer in history]
    return RulesRewriter().rewrite(turns, question).text


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        # pronouns
        (LORA, "When was it proposed?", "When was LoRA proposed?"),
        (LORA, "How is its matrix B initialised?", "How is LoRA’s matrix B initialised?"),
        (LORA, "Where do they work?", "Where do Edward Hu and colleagues work (LoRA)?"),
        (WATSON, "Where did he study?", "Where did David Ferrucci study (Watson project)?"),
        ([("What is gradual unfreezing?", None)], "Who introduced it?", "Who introduced gradual unfreezing?"),
        (
            [("Which continual learning scenario is the hardest?", None)],
            "Who distinguished these scenarios?",
            "Who distinguished the continual learning scenarios?",
        ),
        ([("Which track followed TREC CAsT?", "iKAT")], "What does it add?", "What does iKAT add (TREC CAsT)?"),
        # fragments
        (LORA, "When?", "When was LoRA proposed?"),
        (LORA, "And at which conference?", "At which conference was LoRA proposed?"),
        (BIDAF, "And BERT-large?", "What F1 does BERT-large reach on SQuAD v1.1?"),
        (BIDAF, "What about exact match?", "What exact match does BiDAF reach on SQuAD v1.1?"),
        (BIDAF, "And on TriviaQA?", "What F1 does BiDAF reach on TriviaQA?"),
        (BIDAF, "why?", "Why: what F1 does BiDAF reach on SQuAD v1.1?"),
        ([("Which corpus was T5 pre-trained on?", None)], "How many parameters?", "How many parameters does T5 have?"),
        ([("How many bits does bfloat16 have?", "16")], "And float16?", "How many bits does float16 have?"),
        ([("When is an explanation faithful?", None)], "And plausible?", "When is an explanation plausible?"),
        (
            [("Which exit code means that the documents have no answer?", "3")],
            "And an empty question?",
            "Which exit code means an empty question?",
        ),
        # a topic named in front, and comparison
        (LORA, "And DoRA, what does it split?", "What does DoRA split?"),
        (LORA, "What about SciFact, how many claims?", "SciFact: how many claims?"),
        # a complete question that speaks of "the" something
        (
            [("How many bootstrap samples are needed?", None)],
            "Who invented the method?",
            "Who invented the method (bootstrap samples)?",
        ),
        # topic switches and questions that need nothing
        (LORA, "Who created ELIZA?", "Who created ELIZA?"),
        (LORA, "Is it possible to run ragqa without a network?", "Is it possible to run ragqa without a network?"),
        (
            LORA,
            "Which exit code means that the documents hold no answer?",
            "Which exit code means that the documents hold no answer?",
        ),
        (LORA, "And who created ELIZA?", "Who created ELIZA?"),
    ],
)  # fmt: skip
def test_english(history: History, question: str, expected: str) -> None:
    assert rewritten(history, question) == expected


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        ([("谁提出了LoRA？", "胡等人")], "它的秩应该取多少？", "LoRA的秩应该取多少？"),
        ([("LoRA的秩第一次应该取多少？", "8")], "那学习率呢？", "LoRA的学习率第一次应该取多少？"),
        ([("ERNIE 1.0是谁发布的？", "百度")], "MacBERT呢？", "MacBERT是谁发布的？"),
        ([("HNSW是谁提出的？", "马尔可夫")], "哪一年？", "HNSW是哪一年提出的？"),
        ([("nDCG由谁提出？", None)], "什么时候？", "nDCG什么时候提出？"),
        ([("温度缩放有几个参数？", "一个参数")], "为什么？", "为什么温度缩放有几个参数？"),
        (
            [("提示注入由谁提出？", "西蒙·威利森")],
            "他是什么时候提出的？",
            "西蒙·威利森是什么时候提出的（提示注入）？",
        ),
        ([("LaBSE的向量有多少维？", "768")], "这个模型是谁发布的？", "LaBSE模型是谁发布的？"),
        ([("抽取式阅读器有什么优点？", None)], "缺点呢？", "抽取式阅读器有什么缺点？"),
        ([("抽取式阅读器有什么优点？", None)], "生成式的呢？", "生成式阅读器有什么优点？"),
        (
            [("什么叫金丝雀发布？", None)],
            "那时候有多少用户使用新版本？",
            "金丝雀发布时有多少用户使用新版本？",
        ),
        ([("OpenVINO是哪家公司发布的？", "英特尔")], "哪一年发布的？", "OpenVINO哪一年发布的？"),
        ([("谁最早描述灾难性遗忘？", None)], "哪种持续学习场景最难？", "哪种持续学习场景最难？"),
        ([("谁提出了LoRA？", "胡等人")], "ROUGE的作者是谁？", "ROUGE的作者是谁？"),
    ],
)
def test_chinese(history: History, question: str, expected: str) -> None:
    assert rewritten(history, question) == expected


def test_a_conversation_goes_on_from_its_own_rewritten_questions() -> None:
    turns: list[Turn] = []
    for question, answer in [
        ("What F1 do humans reach on SQuAD v1.1?", "91.2"),
        ("And BERT-large?", "90.9"),
        ("What about BiDAF?", "77.3"),
    ]:
        turns.append(Turn(question, RulesRewriter().rewrite(turns, question).text, answer))
    assert (
        RulesRewriter().rewrite(turns, "And its exact match?").text
        == "What is BiDAF’s exact match (SQuAD v1.1)?"
    )


def test_a_refused_answer_is_no_antecedent() -> None:
    assert (
        rewritten([("Which track followed TREC CAsT?", None)], "What does it add?")
        == "What does TREC CAsT add?"
    )


def test_a_question_without_a_word_is_no_context() -> None:
    blank = Turn("0", "?", None)
    assert RulesRewriter().rewrite([blank], "many").text == "many"
    asked = RulesRewriter().rewrite(
        [Turn("When was LoRA proposed?", "When was LoRA proposed?", "2021"), blank], "Who?"
    )
    assert "LoRA" in asked.text


def test_the_reason_names_what_was_replaced() -> None:
    turns = [Turn("Who proposed LoRA?", "Who proposed LoRA?", "Edward Hu")]
    assert RulesRewriter().rewrite(turns, "When was it proposed?").reason == "'it' is 'LoRA'"
    assert RulesRewriter().rewrite(turns, "Who created ELIZA?").reason == "stands alone"
    assert RulesRewriter().rewrite([], "When was it?").reason == "the first question"


def test_none_leaves_every_question() -> None:
    turns = [Turn("Who proposed LoRA?", "Who proposed LoRA?", "Edward Hu")]
    assert NoneRewriter().rewrite(turns, "When was it?").text == "When was it?"
    assert plugins.names("rewriters") == ["generative", "none", "rules"]


@pytest.mark.parametrize(
    ("question", "asks", "subject", "names"),
    [
        ("What F1 do humans reach on SQuAD v1.1?", "What F1", "humans", ["SQuAD v1.1"]),
        ("Which company published contextual retrieval?", "Which company", "contextual retrieval", []),
        ("For how long should logs be kept?", "For how long", "logs", []),
        ("What does constrained decoding guarantee?", "What", "constrained decoding", []),
        ("Who wrote “Don't Stop Pretraining”?", "Who", "“Don't Stop Pretraining”", ["“Don't Stop Pretraining”"]),
        ("How did Kamath, Jia and Liang decide?", "How", "Kamath, Jia and Liang", ["Kamath, Jia and Liang"]),
    ],
)  # fmt: skip
def test_a_question_is_taken_apart(question: str, asks: str, subject: str, names: list[str]) -> None:
    parsed = parse(question)
    assert parsed.asks == asks
    assert parsed.subject is not None
    assert parsed.subject.text == subject
    assert [m.text for m in parsed.names] == names


_WORDS = st.sampled_from(
    [
        "who",
        "what",
        "which",
        "how",
        "many",
        "much",
        "when",
        "why",
        "did",
        "does",
        "is",
        "was",
        "the",
        "a",
        "and",
        "it",
        "its",
        "they",
        "he",
        "she",
        "this",
        "that",
        "these",
        "those",
        "one",
        "there",
        "about",
        "LoRA",
        "BERT-large",
        "SQuAD",
        "v1.1",
        "Natural",
        "Questions",
        "Edward",
        "Hu",
        "score",
        "rank",
        "exact",
        "match",
        "proposed",
        "on",
        "for",
        "to",
        "?",
        ",",
        "in",
        "of",
        "谁",
        "它",
        "他",
        "其中",
        "这个",
        "那",
        "呢",
        "的",
        "是",
        "有",
        "什么",
        "哪一年",
        "为什么",
        "提出",
        "模型",
        "参数",
        "多少",
        "？",
        "，",
    ]
)
_PHRASES = st.lists(_WORDS, min_size=1, max_size=9).map(" ".join)
_TEXTS = st.one_of(
    _PHRASES, _PHRASES.map(lambda t: t.replace(" ", "")), st.text(min_size=1, max_size=40)
).filter(str.strip)
_TURNS = st.lists(st.builds(Turn, _TEXTS, _TEXTS, st.none() | _TEXTS), max_size=4)


@given(_TURNS, _TEXTS)
def test_no_word_of_the_question_is_lost(history: list[Turn], question: str) -> None:
    found = RulesRewriter().rewrite(history, question)
    assert found.text.strip()
    assert found.reason
    content = chinese.content(question) if is_han(question) else english.content(question)
    assert content <= set(terms(found.text))


@given(_TEXTS)
def test_a_first_question_stays_as_it_is(question: str) -> None:
    assert RulesRewriter().rewrite([], question).text == question


@given(_TEXTS)
def test_a_mention_is_a_piece_of_its_question(text: str) -> None:
    for mention in parse(text).mentions:
        assert text[mention.start : mention.end].startswith(mention.text)
