"""Text while it is written: what was heard is the text, from every kind of tokenizer, and no refusal is heard."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel
from transformers import PreTrainedTokenizerFast as FastTokenizer

from ragqa import pretrained
from ragqa.backbone import builtin_path, child_environment
from ragqa.drafts import Writer
from ragqa.prompting import NOT_HERE
from ragqa.readers.generative import GenerativeReader
from ragqa.recipe import Recipe
from ragqa.streaming import Detokenizer, Withheld
from ragqa.types import Hit, Passage, Query
from ragqa.writing import PromptedWriter, open_pointer, open_writer

TEXTS = [
    "The tower wasn't built in 1902 , but in 1931.",
    "注意力机制由瓦斯瓦尼等人提出。它取代了循环。",
    "naïve — “ok” 🦭!",
]
QUESTIONS = [
    json.loads(line)
    for line in (Path(__file__).parent / "kb_questions.jsonl").read_text(encoding="utf-8").splitlines()
    if json.loads(line)["document"]
]


def byte_level() -> FastTokenizer:
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    return _trained(plain, pre_tokenizers.ByteLevel.alphabet(), trainers.BpeTrainer)


def byte_fallback() -> FastTokenizer:
    """As Llama's: spaces as ▁, and single bytes for what the vocabulary has not."""
    own = ["▁", "注", *ascii_letters]
    pieces = ["<pad>", "<end>", *(f"<0x{byte:02X}>" for byte in range(256)), *own]
    vocabulary = {piece: row for row, piece in enumerate(pieces)}
    plain = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<pad>"))
    plain.normalizer = normalizers.Replace(" ", "▁")
    plain.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return FastTokenizer(tokenizer_object=plain, eos_token="<end>", pad_token="<pad>")


def word_pieces() -> FastTokenizer:
    plain = Tokenizer.from_file(str(builtin_path() / "tokenizer.json"))
    plain.no_padding()
    return FastTokenizer(tokenizer_object=plain, eos_token="[SEP]", pad_token="[PAD]")


def _trained(plain: Tokenizer, alphabet: list[str], trainer: Any) -> FastTokenizer:
    special = ["<pad>", "<end>"]
    plain.train_from_iterator(
        TEXTS * 3,
        trainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False),
    )
    return FastTokenizer(tokenizer_object=plain, eos_token="<end>", pad_token="<pad>")


TOKENIZERS = {make.__name__: make() for make in (byte_level, byte_fallback, word_pieces)}


def detokenised(tokenizer: FastTokenizer, ids: Sequence[int]) -> tuple[str, list[str]]:
    heard: list[str] = []

    def decode(some: Sequence[int]) -> str:
        return str(tokenizer.decode(some, skip_special_tokens=True))

    detokenizer = Detokenizer(decode, tokenizer.convert_ids_to_tokens, heard.append)
    for token in ids:
        detokenizer.add(token)
    return detokenizer.end(), heard


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60)
@given(st.data())
def test_pieces_of_any_tokens_are_together_what_the_tokenizer_makes_of_them(name: str, data: Any) -> None:
    tokenizer = TOKENIZERS[name]
    words = (
        st.sampled_from([*TEXTS, "don ' t", " a", "it ' s", "嗯", "🦭", "\n", "e\u0301", "\ufffd", "x"])
        | st.text()
    )
    texts = data.draw(st.lists(words.map(tokenizer.encode), max_size=4))
    stray = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=6))
    ids = [*stray, *(token for text in texts for token in text)]
    text, heard = detokenised(tokenizer, ids)
    assert text == "".join(heard) == tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert len(heard) == len(ids) + 1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_is_heard_long_before_its_end_and_never_half_a_character(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    # Characters that are bytes come when their run ends.
    for text in TEXTS[: 1 if name == "byte_fallback" else 2]:
        ids = tokenizer.encode(text, add_special_tokens=False)
        said, heard = detokenised(tokenizer, ids)
        half = "".join(heard[: len(heard) * 2 // 3])
        assert len(half) > len(said) / 3
        assert "\ufffd" not in half


@pytest.mark.parametrize(
    ("pieces", "heard"),
    [
        (["not", " in", " these", " documents"], []),
        (["Not in", " these documents", ". Really"], []),
        (["not", " in", " Rome"], ["not in Rome"]),
        (["not"], ["not"]),
        (["文档中", "没有答案"], []),
        (["文档", "有两页", "。"], ["文档有两页", "。"]),
        (["nothing", " here"], ["nothing", " here"]),
        (["", "Paris"], ["Paris"]),
        ([], []),
    ],
)
def test_what_says_that_there_is_no_answer_is_not_heard(pieces: list[str], heard: list[str]) -> None:
    calls: list[str] = []
    withheld = Withheld(calls.append)
    for piece in pieces:
        withheld.hear(piece)
    assert len(calls) == len(pieces)  # also what is withheld is a chance to stop
    withheld.end()
    assert [piece for piece in calls if piece] == heard


def language_model(kind: str, tokenizer: FastTokenizer, folder: Path) -> Path:
    """A random language model, whose texts are wild: bytes that are no characters, ends in their midst."""
    torch.manual_seed(5)
    size = len(tokenizer)
    if kind == "causal":
        model: Any = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size, n_positions=256, n_embd=32, n_layer=1, n_head=2, initializer_range=0.8
            )
        )
    else:
        model = BartForConditionalGeneration(
            BartConfig(
                vocab_size=size,
                d_model=32,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                max_position_embeddings=256,
                decoder_start_token_id=1,
                forced_eos_token_id=None,
                init_std=0.8,
            )
        )
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, name, tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def listened(writer: Writer, question: str, passages: list[Passage]) -> str:
    """What is written for a question, after it was heard to be the same."""
    heard: list[str] = []
    (silent,) = writer.write([question], [passages])
    (draft,) = writer.write([question], [passages], heard=heard.append)
    assert draft == silent
    assert "".join(heard) == draft.text
    return draft.text


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", ["byte_level", "word_pieces"])
def test_language_models_are_heard_as_they_write(kind: str, name: str, tmp_path: Path) -> None:
    template = tmp_path / "question.jinja"
    template.write_text("{{ question }}", encoding="utf-8")
    folder = language_model(kind, TOKENIZERS[name], tmp_path / "model")
    writer = open_writer(folder, recipe=Recipe(prompt=str(template)), max_answer_tokens=12)
    assert isinstance(writer, PromptedWriter)
    asked = [record["question"] for record in QUESTIONS]
    texts = {listened(writer, question, []) for question in [*asked[::24], *asked[5::24]]}
    assert len(texts) > 4


@pytest.fixture(scope="module")
def shipped() -> Writer:
    return open_writer(pretrained.folder_of("generator", "builtin"), max_answer_tokens=24)


def passages(records: Sequence[Any]) -> list[Passage]:
    return [Passage(f"kb {r['id']}", 0, len(r["quote"]), r["quote"], "Handbook") for r in records]


def test_the_shipped_generator_is_heard_as_it_writes(shipped: Writer) -> None:
    """English and Chinese questions of the handbook, each with the sentences of three."""
    chosen = [record for language in ("en", "zh") for record in _of(language)[::18]]
    texts = [
        listened(shipped, record["question"], passages([record, *QUESTIONS[place : place + 2]]))
        for place, record in enumerate(chosen)
    ]
    assert len(chosen) > 12
    assert len(set(texts)) > len(chosen) / 2


def _of(language: str) -> list[Any]:
    return [record for record in QUESTIONS if record["language"] == language]


def test_the_shipped_generator_writes_as_it_does_in_training(shipped: Writer) -> None:
    trained = open_pointer(pretrained.folder_of("generator", "builtin"), max_answer_tokens=24)
    asked = [record["question"] for record in QUESTIONS[::32]]
    read = [passages(QUESTIONS[place : place + 2]) for place in range(0, len(QUESTIONS), 32)]
    for mine, theirs in zip(shipped.write(asked, read), trained.write(asked, read), strict=True):
        assert (mine.text, mine.passages) == (theirs.text, theirs.passages)
        assert mine.log_probability == pytest.approx(theirs.log_probability, abs=1e-3)


def test_the_shipped_generator_is_served_without_torch(shipped: Writer) -> None:
    """What takes seconds to import is not."""
    code = (
        "import sys; from ragqa.readers.generative import GenerativeReader; GenerativeReader(); "
        "print([name for name in ('torch', 'transformers', 'peft', 'nncf') if name in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "[]"


def test_whoever_listens_can_end_the_writing(shipped: Writer) -> None:
    class Enough(Exception):
        pass

    heard: list[str] = []

    def hear(piece: str) -> None:
        heard.append(piece)
        if len(heard) == 2:
            raise Enough

    record = QUESTIONS[0]
    with pytest.raises(Enough):
        shipped.write([record["question"]], [passages([record])], heard=hear)
    assert len(heard) == 2
    assert listened(shipped, record["question"], passages([record]))


def test_a_reader_hears_its_answer_but_no_refusal() -> None:
    reader = GenerativeReader(max_answer_tokens=24)
    texts = set()
    for record in QUESTIONS[::40]:
        heard: list[str] = []
        hits = [Hit(passage, 1.0) for passage in passages([record])]
        answer = reader.stream(Query(record["question"]), hits, heard.append)
        assert answer == reader.read([Query(record["question"])], [hits])[0]
        assert "".join(heard) == answer.candidate
        texts.add("".join(heard))
    assert not texts & set(NOT_HERE.values())
    assert len(texts) > 2
