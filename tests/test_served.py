"""A generative reader that writes through a server process that others wrote: ``transformers serve``."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragqa.drafts import Draft
from ragqa.endpoint import KEYS
from ragqa.errors import EndpointError
from ragqa.pipeline import load_pipeline
from ragqa.readers.generative import GenerativeReader
from ragqa.types import Passage, Query

pytestmark = pytest.mark.slow  # starting the server takes longer than all of `test_endpoint`

QUESTION = "Who designed the Orchard Bridge?"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def writer(served: Any, talk: Any) -> Callable[..., Any]:
    """Opens a writer of the server."""

    def open_writer(**options: Any) -> Any:
        reader: Any = GenerativeReader(**{"base_url": served.url, "model": str(talk.model), **options})
        return reader._writer

    return open_writer


def passages(talk: Any) -> list[Passage]:
    return [Passage(name, 0, len(text), text) for name, text in talk.documents.items()]


def drawn(tokens: int, seed: int) -> dict[str, Any]:
    """Options with which the model draws at least so many tokens."""
    config = {"do_sample": True, "min_new_tokens": tokens, "eos_token_id": 1, "pad_token_id": 0}
    body = {"generation_config": json.dumps(config)}
    return {
        "generation": {"temperature": 2.0, "seed": seed, "extra_body": body},
        "max_answer_tokens": tokens,
    }


def settings(index: Path, served: Any, talk: Any) -> list[str]:
    chosen = ("reader.name=generative", f"reader.base_url={served.url}", f"reader.model={talk.model}")
    return ["--index", str(index), *(part for one in chosen for part in ("--set", one))]


def test_it_answers_with_the_words_cited(
    ragqa: Callable[..., Any], told: Path, served: Any, talk: Any
) -> None:
    options = settings(told, served, talk)
    done = ragqa("ask", QUESTION, *options)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "Maria Keller"
    assert "The Orchard Bridge was designed by [Maria Keller]." in done.out
    streamed = ragqa("ask", QUESTION, *options, "--stream")
    assert (streamed.code, streamed.out) == (0, done.out)
    record = json.loads(ragqa("ask", QUESTION, *options, "--json").out)
    assert (record["answer"], record["citations"][0]["quote"]) == ("Maria Keller", "Maria Keller")
    # It lists what stands in the cache of downloads, where nothing is.
    (line,) = [line for line in ragqa("doctor", *options).out.splitlines() if line.startswith("endpoint ")]
    assert f"{served.url} answers" in line


def test_what_it_streams_is_what_it_answers_at_once(writer: Callable[..., Any], talk: Any) -> None:
    for options in ({}, {"generation": {"stop": ["Keller", "月"]}}, drawn(30, 3)):
        opened = writer(**options)
        for question, answer in talk.answers.items():
            heard: list[str] = []
            (streamed,) = opened.write([question], [passages(talk)], heard.append)
            (at_once,) = opened.write([question], [passages(talk)])
            assert streamed == at_once
            assert "".join(heard) == streamed.text
            assert not streamed.is_measured
            if not options:
                assert streamed.text == answer


def test_options_of_decoding_reach_the_model(writer: Callable[..., Any], talk: Any) -> None:
    def written(**options: Any) -> str:
        (draft,) = writer(**options).write([QUESTION], [passages(talk)])
        assert isinstance(draft, Draft)
        return draft.text

    assert written(generation={"stop": "Keller"}) == "Maria"
    assert written(max_answer_tokens=1) == "Maria"
    assert written(**drawn(30, 3)) == written(**drawn(30, 3)) != written(**drawn(30, 4))
    with pytest.raises(EndpointError, match=r"refused \(422\).*top_k.*without reader.generation.top_k"):
        written(generation={"temperature": 0.5, "top_k": 3})


def test_documents_that_give_orders_change_none_of_its_answers(
    writer: Callable[..., Any], ordered: Path, orders: list[str], served: Any, talk: Any
) -> None:
    chosen = ["reader.name=generative", f"reader.base_url={served.url}", f"reader.model={talk.model}"]
    with load_pipeline(ordered, overrides=chosen) as pipeline:
        answers = pipeline.ask_many([Query(question) for question in talk.answers])
    assert [answer.text for answer in answers] == list(talk.answers.values())
    first = passages(talk)[0]
    beside = [[first, Passage("order.md", 0, len(text), text)] for text in orders]
    drafts = writer().write([QUESTION] * len(orders), beside)
    assert [draft.text for draft in drafts] == ["Maria Keller"] * len(orders)


def test_whoever_stops_listening_stops_the_server(writer: Callable[..., Any], talk: Any) -> None:
    def interrupt(piece: str) -> None:
        if piece:
            raise KeyboardInterrupt

    opened, asked = writer(**drawn(400, 3)), ([QUESTION], [passages(talk)])
    begun = time.monotonic()
    opened.write(*asked)
    whole = time.monotonic() - begun
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        opened.write(*asked, interrupt)
    # It writes one answer at a time: had it gone on, the next one would have had to wait.
    assert writer().write(*asked)[0].text == "Maria Keller"
    assert time.monotonic() - begun < whole / 2


def test_endless_repetition_is_cut(writer: Callable[..., Any], talk: Any) -> None:
    config = {"min_new_tokens": 300, "eos_token_id": 1, "pad_token_id": 0}
    generation = {"extra_body": {"generation_config": json.dumps(config)}}
    opened = writer(generation=generation, max_answer_tokens=300)
    heard: list[str] = []
    (draft,) = opened.write([QUESTION], [passages(talk)], heard.append)
    assert opened.write([QUESTION], [passages(talk)]) == [draft]
    assert "".join(heard) == draft.text
    assert draft.text.startswith("Maria Keller")
    assert len(draft.text) < 250


def test_a_server_that_hangs_is_left_and_answers_again_later(
    writer: Callable[..., Any], served: Any, talk: Any
) -> None:
    opened = writer(timeout_seconds=0.3)
    served.process.send_signal(signal.SIGSTOP)
    try:
        for heard in (None, lambda _: None):
            with pytest.raises(EndpointError, match=r"said nothing for 0\.3 seconds; try: "):
                opened.write([QUESTION], [passages(talk)], heard)
    finally:
        served.process.send_signal(signal.SIGCONT)
    assert writer().write([QUESTION], [passages(talk)])[0].text == "Maria Keller"


def test_what_it_cannot_do_is_told(
    writer: Callable[..., Any], small_gpt2: Path, talk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragqa.endpoint._FIRST_WAIT", 0.1)  # it hangs up after a fault
    with pytest.raises(
        EndpointError, match=r"has a fault \(500\) after 3 attempts: .*; try: the server's log"
    ):
        writer(model="/no/such/model").write([QUESTION], [passages(talk)])
    long = [Passage("long.md", 0, 2400, "The mill grinds. " * 140)]
    # This server does not say that a prompt is longer than its model reads.
    with pytest.raises(EndpointError, match=r"has a fault \(500\)"):
        writer(model=str(small_gpt2)).write([QUESTION], [long])
    (draft,) = writer(model=str(small_gpt2), max_prompt_tokens=130, max_answer_tokens=4).write(
        [QUESTION], [long]
    )
    assert draft.is_cut


@pytest.fixture
def small_gpt2(talk: Any, tmp_path: Path) -> Path:
    """A random model for up to 128 tokens."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(talk.model)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=256,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path
