"""A generative reader that writes through a server which does everything wrong; ``test_served`` has a real one."""

import json
import logging
import math
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ragqa import endpoint
from ragqa.endpoint import is_loopback, key_for
from ragqa.errors import ConfigError, EndpointError
from ragqa.readers.generative import GenerativeReader
from ragqa.types import Answer, Hit, Passage, Query

KEY = "sk-very-secret-0123456789"
QUESTION = "Who designed the Orchard Bridge?"
TEXT = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
HITS = [Hit(Passage("bridge.md", 0, len(TEXT), TEXT), 1.0)]
ANSI = "\x1b[31mMaria\x07 Keller\x9b"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in endpoint.KEYS:
        monkeypatch.delenv(name, raising=False)


def completion(text: str | None, **more: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return {"choices": [choice]}


def chunk(text: str, **more: Any) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **more}]})}\n\n".encode()


class Faulty(BaseHTTPRequestHandler):
    """Does what the first part of the path says."""

    requests: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 (shared by all requests, on purpose)
    keys: list[str | None] = []  # noqa: RUF012
    gone = threading.Event()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith(("/unknown/", "/logprobs/")):
            self.reply(200, {"data": [{"id": "small"}, {"id": "large"}]})
        else:
            self.reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = self.path.split("/")[1]
        self.requests.append((name, body))
        self.keys.append(self.headers["authorization"])
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, name)(body)

    def reply(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for header, value in {"content-type": kind, "content-length": str(len(data)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()

    def attempts(self) -> int:
        return sum(name == self.path.split("/")[1] for name, _ in self.requests)

    def html(self, _: Any) -> None:
        self.reply(200, "<!doctype html><title>Welcome</title>", "text/html")

    def shape(self, _: Any) -> None:
        self.reply(200, {"choices": [{"message": "Maria Keller"}]})

    def no_choice(self, _: Any) -> None:
        self.reply(200, {"choices": []})

    def empty(self, _: Any) -> None:
        self.reply(200, completion(None))

    def wrong_key(self, _: Any) -> None:
        self.reply(401, {"error": {"message": f"Incorrect key: {self.headers['authorization']}"}})

    def echoes_key(self, _: Any) -> None:
        self.reply(400, {"error": {"message": f"bad request with {self.headers['authorization']}"}})

    def unknown(self, _: Any) -> None:
        self.reply(404, {"error": {"message": "model not found"}})

    def nowhere(self, _: Any) -> None:
        self.reply(404, {"detail": "Not Found"})

    def context(self, _: Any) -> None:
        self.reply(400, {"error": {"message": "This model's maximum context length is 128 tokens."}})

    def options(self, _: Any) -> None:
        self.reply(422, {"detail": "Unexpected fields in the request: {'top_k'}"})

    def moved(self, _: Any) -> None:
        self.reply(302, "", location="http://192.0.2.1/v1")

    def busy(self, _: Any) -> None:
        if self.attempts() < 3:
            self.reply(429, {"error": "slow down"}, retry_after="0")
        else:
            self.reply(200, completion("Maria Keller"))

    def always_busy(self, _: Any) -> None:
        self.reply(429, {"error": "slow down"})

    def broken(self, _: Any) -> None:
        self.reply(500, "Internal Server Error", "text/plain")

    def hangs_up(self, _: Any) -> None:
        if self.attempts() < 2:
            self.connection.close()
        else:
            self.reply(200, completion("Maria Keller"))

    def slow(self, _: Any) -> None:
        time.sleep(1.0)

    def drips(self, _: Any) -> None:
        self.begin("application/json")
        while True:
            self.wfile.write(b" ")
            time.sleep(0.05)

    def pings(self, _: Any) -> None:
        self.begin()
        while True:
            self.wfile.write(b": still here\n\n")
            time.sleep(0.05)

    def floods(self, _: Any) -> None:
        self.begin("application/json")
        while True:
            self.wfile.write(b" " * 65536)

    def cut(self, _: Any) -> None:
        self.begin()
        self.wfile.write(chunk("Maria "))
        self.wfile.write(chunk("Kel"))

    def stream_fault(self, _: Any) -> None:
        self.begin()
        self.wfile.write(chunk("Maria ") + b'data: {"error": {"message": "out of memory"}}\n\n')

    def stream_rubbish(self, _: Any) -> None:
        self.begin()
        self.wfile.write(b"data: <html>\n\n")

    def whole(self, _: Any) -> None:
        self.reply(200, completion("Maria Keller"))

    def endless(self, body: dict[str, Any]) -> None:
        if not body["stream"]:
            self.reply(200, completion("Maria Keller " * 200, finish_reason="length"))
            return
        self.begin()
        try:
            while True:
                self.wfile.write(chunk("Maria Keller "))
                time.sleep(0.001)
        except OSError:
            self.gone.set()

    def logprobs(self, body: dict[str, Any]) -> None:
        told = [
            {"token": word, "logprob": math.log(share)} for word, share in (("Maria", 0.9), ("Keller", 0.4))
        ]
        if body["stream"]:
            self.begin()
            for one in told:
                self.wfile.write(chunk(f"{one['token']} ", logprobs={"content": [one]}))
            self.wfile.write(b'data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n')
        else:
            self.reply(200, completion("Maria Keller", logprobs={"content": told}))

    def old_fashioned(self, body: dict[str, Any]) -> None:
        if "logprobs" in body:
            self.reply(400, {"error": {"message": "logprobs is not supported"}})
        elif "max_tokens" in body:
            self.reply(400, {"error": {"message": "max_tokens is gone, use max_completion_tokens"}})
        else:
            self.reply(200, completion(f"Maria Keller {body['max_completion_tokens']}"))

    def thinks(self, _: Any) -> None:
        self.reply(200, completion("<think>Who was it?</think>\n\nMaria Keller"))

    def only_thinks(self, _: Any) -> None:
        self.reply(200, completion("<think>Who was it?", finish_reason="length"))

    def escapes(self, _: Any) -> None:
        self.reply(200, completion(ANSI))

    def escapes_in_fault(self, _: Any) -> None:
        self.reply(400, {"error": {"message": f"no {ANSI}"}})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def reader(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GenerativeReader]:
    """Opens a reader of the server that does everything wrong; no wait between attempts."""
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.0)

    def open_reader(name: str, **options: Any) -> GenerativeReader:
        return GenerativeReader(
            **{"base_url": f"{address}/{name}/v1", "model": "medium", "timeout_seconds": 5.0, **options}
        )

    Faulty.requests.clear()
    Faulty.gone.clear()
    return open_reader


def answered(reader: GenerativeReader) -> Answer:
    return reader.read([Query(QUESTION)], [HITS])[0]


def streamed(reader: GenerativeReader, heard: Callable[[str], None]) -> Any:
    writer: Any = reader._writer
    return writer.write([QUESTION], [[hit.passage for hit in HITS]], heard=heard)[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("html", r"no chat completion: '<!doctype html>.*/v1"),
        ("shape", "no chat completion"),
        ("no_choice", "without any choice"),
        ("wrong_key", r"asks for a key \(401\); accepted: .*RAGQA_API_KEY"),
        ("unknown", "there is no model 'medium' .*; accepted: small, large"),
        ("nowhere", r"refused \(404\): Not Found; try: is reader.base_url right"),
        ("context", r"longer than medium reads \(400\).*try: a smaller reader.max_prompt_tokens"),
        ("moved", r"refused \(302\)"),
        ("always_busy", r"too much to do \(429\) after 3 attempts: slow down"),
        ("broken", r"has a fault \(500\) after 3 attempts: Internal Server Error"),
    ],
)
def test_each_fault_is_one_line_that_says_what_to_do(
    reader: Callable[..., GenerativeReader], name: str, said: str
) -> None:
    with pytest.raises(EndpointError, match=said) as caught:
        answered(reader(name))
    assert "\n" not in str(caught.value)
    assert "; try: " in str(caught.value) or "accepted: " in str(caught.value)
    assert caught.value.exit_code == 1


def test_an_option_that_the_server_does_not_know_is_named(reader: Callable[..., GenerativeReader]) -> None:
    with pytest.raises(EndpointError, match=r"try: without reader\.generation\.top_k"):
        answered(reader("options", generation={"temperature": 0.5, "top_k": 3}))


@pytest.mark.parametrize(("name", "attempts"), [("busy", 3), ("hangs_up", 2)])
def test_what_may_pass_is_tried_again(
    reader: Callable[..., GenerativeReader], name: str, attempts: int
) -> None:
    assert answered(reader(name)).text == "Maria Keller"
    assert len(Faulty.requests) == attempts
    Faulty.requests.clear()
    with pytest.raises(EndpointError):
        answered(reader(name, retries=0))
    assert len(Faulty.requests) == 1


def test_the_waits_between_attempts_grow(
    reader: Callable[..., GenerativeReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    opened = reader("broken", retries=3)
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.5)
    monkeypatch.setattr("ragqa.endpoint.time.sleep", waits.append)
    with pytest.raises(EndpointError):
        answered(opened)
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("name", ["slow", "drips"])
def test_a_slow_server_is_not_waited_for_and_not_asked_again(
    reader: Callable[..., GenerativeReader], name: str
) -> None:
    with pytest.raises(EndpointError, match=r"said nothing for 0.3 seconds; try: .*timeout_seconds"):
        answered(reader(name, timeout_seconds=0.3))
    assert len(Faulty.requests) == 1


def test_a_stream_of_nothing_but_signs_of_life_ends(reader: Callable[..., GenerativeReader]) -> None:
    with pytest.raises(EndpointError, match=r"said nothing for 0\.3 seconds"):
        streamed(reader("pings", timeout_seconds=0.3), lambda _: None)


def test_a_flood_is_cut(reader: Callable[..., GenerativeReader], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_MOST_BYTES", 1 << 20)
    with pytest.raises(EndpointError, match="more than 1 MB"):
        answered(reader("floods"))


def test_nobody_there_is_one_line(reader: Callable[..., GenerativeReader]) -> None:
    with pytest.raises(EndpointError, match=r"cannot be reached after 2 attempts: .*refused; try: start the"):
        answered(reader("", base_url="http://127.0.0.1:9/v1", retries=1))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut", "broke off after 9 characters"),
        ("stream_fault", "stopped: out of memory"),
        ("stream_rubbish", "no chat completion: '<html>'"),
    ],
)
def test_a_stream_that_breaks_is_no_answer(
    reader: Callable[..., GenerativeReader], name: str, said: str
) -> None:
    heard: list[str] = []
    with pytest.raises(EndpointError, match=said):
        streamed(reader(name), heard.append)
    assert "".join(heard) in ("Maria Kel", "Maria", "")
    assert len(Faulty.requests) == 1


def test_a_server_that_does_not_stream_is_heard_all_the_same(
    reader: Callable[..., GenerativeReader],
) -> None:
    heard: list[str] = []
    assert streamed(reader("whole"), heard.append).text == "Maria Keller" == "".join(heard)


def test_endless_repetition_is_cut_and_the_server_need_not_go_on(
    reader: Callable[..., GenerativeReader],
) -> None:
    heard: list[str] = []
    draft = streamed(reader("endless"), heard.append)
    assert "".join(heard) == draft.text
    assert Faulty.gone.wait(5)
    answer = answered(reader("endless"))
    assert answer.candidate == draft.text
    assert draft.text.startswith("Maria Keller Maria Keller")
    assert len(draft.text) < 100
    assert "repeated itself without end" in answer.note


def test_ctrl_c_in_mid_stream_closes_the_connection_and_nothing_else(
    reader: Callable[..., GenerativeReader],
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    opened = reader("endless")
    with pytest.raises(KeyboardInterrupt):
        streamed(opened, interrupt)
    assert Faulty.gone.wait(5)
    assert answered(opened).candidate.startswith("Maria Keller")


def test_confidence_is_the_tokens_probability_where_the_server_tells_it(
    reader: Callable[..., GenerativeReader],
) -> None:
    opened = reader("logprobs")
    assert answered(opened).confidence == pytest.approx(math.sqrt(0.9 * 0.4))
    heard: list[str] = []
    draft = streamed(opened, heard.append)
    assert draft.text == "".join(heard) == "Maria Keller"
    assert draft.log_probability == pytest.approx(math.log(0.9 * 0.4) / 2)
    assert answered(reader("logprobs", threshold=0.7)).text is None
    assert answered(reader("whole", threshold=0.7)).confidence == 1.0  # all of its terms stand there


def test_a_server_of_another_age_gets_the_fields_that_it_knows(
    reader: Callable[..., GenerativeReader],
) -> None:
    opened = reader("old_fashioned", max_answer_tokens=17)
    assert answered(opened).candidate == "Maria Keller 17"
    answered(opened)
    assert len(Faulty.requests) == 4  # the second question is asked once


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("thinks", "Maria Keller", ""),
        ("only_thinks", None, "max_answer_tokens went by without an answer"),
        ("empty", None, "the model wrote nothing"),
    ],
)
def test_thoughts_are_no_answer_and_silence_is_told(
    reader: Callable[..., GenerativeReader], name: str, text: str | None, note: str
) -> None:
    answer = answered(reader(name))
    assert (answer.text, answer.note) == (text, note)


def test_what_is_asked_stands_in_the_request(reader: Callable[..., GenerativeReader]) -> None:
    options = {"temperature": 0.7, "top_p": 0.9, "seed": 3, "stop": ["\n"], "extra_body": {"think": False}}
    answered(reader("whole", generation=options, max_answer_tokens=9))
    ((_, body),) = Faulty.requests
    (turn,) = body.pop("messages")
    assert turn["role"] == "user"
    assert turn["content"].endswith(f"Question: {QUESTION}\nAnswer:")
    assert TEXT in turn["content"]
    assert body == {
        "model": "medium",
        "max_tokens": 9,
        "logprobs": True,
        "stream": False,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n"],
        "think": False,
    }
    answered(reader("whole"))
    assert Faulty.requests[-1][1]["temperature"] == 0


def test_passages_that_find_no_room_are_told(reader: Callable[..., GenerativeReader]) -> None:
    long = "The mill of the valley was built of oak. " * 40
    hits = [*HITS, Hit(Passage("mill.md", 0, len(long), long), 0.5)]
    answer = reader("whole", max_prompt_tokens=300).read([Query(QUESTION)], [hits])[0]
    assert answer.details["left_out"] == 1
    assert "1 of the passages found no room" in answer.note
    assert long not in Faulty.requests[-1][1]["messages"][0]["content"]


@pytest.mark.parametrize("name", ["wrong_key", "echoes_key"])
def test_the_key_goes_to_the_server_and_nowhere_else(
    reader: Callable[..., GenerativeReader], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RAGQA_API_KEY", KEY)
    with pytest.raises(EndpointError) as caught:
        answered(reader(name))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert KEY not in f"{chain} {chain!r} {vars(chain)}"
        chain = chain.__cause__
    assert "does not accept the key (401)" in str(caught.value) or "Bearer ***" in str(caught.value)


def test_which_key_goes_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    assert key_for("https://example.org/v1") == key_for("http://127.0.0.1:8000/v1") == "other"
    assert key_for("http://example.org/v1") == ""
    monkeypatch.setenv("RAGQA_API_KEY", f" {KEY}\n")
    assert key_for("http://example.org/v1") == key_for("https://example.org/v1") == KEY
    for wrong in ("two words", "line\nbreak", "schlüssel"):
        monkeypatch.setenv("RAGQA_API_KEY", wrong)
        with pytest.raises(ConfigError, match="RAGQA_API_KEY holds characters") as caught:
            key_for("https://example.org/v1")
        assert wrong not in str(caught.value)
    assert [
        is_loopback(f"http://{host}/v1") for host in ("[::1]:80", "localhost", "127.9.9.9", "10.0.0.1")
    ] == [
        *[True] * 3,
        False,
    ]


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://host:99999/v1", "http://[/v1", ""],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"reader.base_url.*accepted: http://HOST:PORT/v1"):
        GenerativeReader(base_url=url, model="medium")


@pytest.mark.parametrize("url", [f"http://me:{KEY}@host/v1", f"https://host/v1?key={KEY}"])
def test_an_address_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="put the key into the environment") as caught:
        GenerativeReader(base_url=url, model="medium")
    assert KEY not in str(caught.value)


def test_a_server_needs_the_name_of_a_model() -> None:
    with pytest.raises(ConfigError, match=r"accepted: reader.model=NAME; try: ragqa doctor"):
        GenerativeReader(base_url="http://127.0.0.1:9/v1")


def settings(index: Path, url: str, *more: str) -> list[str]:
    chosen = ["reader.name=generative", f"reader.base_url={url}", "reader.model=medium", *more]
    return ["--index", str(index), *(part for one in chosen for part in ("--set", one))]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *(("escapes", ()), ("escapes", ("--json",)), ("escapes", ("--stream",))),
        *(("escapes", ("--json", "--stream")), ("escapes", ("--explain",))),
        *(("escapes_in_fault", ()), ("escapes_in_fault", ("--stream",))),
    ],
)
def test_terminal_codes_of_a_model_and_of_a_server_are_shown_harmlessly(
    ragqa: Callable[..., Any], told: Path, address: str, name: str, more: tuple[str, ...]
) -> None:
    done = ragqa("ask", QUESTION, *settings(told, f"{address}/{name}/v1"), *more)
    shown = done.out + done.err
    # What no document bears out is shown nowhere but here.
    assert ("31mMaria" in shown) == (name != "escapes" or more[-1:] in (("--stream",), ("--explain",)))
    assert not any(letter in shown for letter in "\x1b\x07\x9b")


@pytest.mark.parametrize("section", ["reader.generative", "conversation.rewriter"])
def test_doctor_asks_whatever_server_is_set(
    ragqa: Callable[..., Any], told: Path, address: str, section: str
) -> None:
    url = f"{address}/nowhere/v1"
    plugin = "reader.name=auto" if section == "reader.generative" else f"{section}.name=generative"
    chosen = [plugin, f"{section}.base_url={url}", f"{section}.model=medium"]
    done = ragqa("doctor", "--index", str(told), *(part for one in chosen for part in ("--set", one)))
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("endpoint ")]
    assert f"MISSING  {section}: {url} refused (404)" in line


@pytest.mark.parametrize("name", ["wrong_key", "echoes_key", "whole"])
def test_the_key_is_never_printed_nor_logged(
    ragqa: Callable[..., Any],
    told: Path,
    address: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("RAGQA_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    options = settings(told, f"{address}/{name}/v1")
    Faulty.keys.clear()
    for more in ((), ("--explain",), ("--json", "--explain"), ("--stream",)):
        done = ragqa("ask", QUESTION, *options, *more)
        assert done.code == (0 if name == "whole" else 1)
        assert KEY not in done.out + done.err
    assert KEY not in ragqa("doctor", *options).out
    assert set(Faulty.keys) == {f"Bearer {KEY}"}
    assert caplog.records
    assert KEY not in caplog.text
    if name != "whole":
        monkeypatch.setenv("RAGQA_DEBUG", "1")  # so that it is put back
        with pytest.raises(EndpointError) as caught:
            ragqa("--debug", "ask", QUESTION, *options)
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_neither_torch_nor_a_connection_is_there_before_they_are_needed(address: str) -> None:
    program = """
import sys
from ragqa.config import Config
Config.from_values({"reader": {"name": "generative", "model": "m"}})
assert "httpx2" not in sys.modules
from ragqa.readers.generative import GenerativeReader
GenerativeReader(base_url=sys.argv[1], model="m")
print(sorted({"torch", "transformers", "openai"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, f"{address}/whole/v1"]
    Faulty.requests.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert Faulty.requests == []
