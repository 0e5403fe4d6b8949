"""A server that speaks the OpenAI protocol (vLLM, Ollama, llama.cpp, ``transformers serve``): requests and faults.

Nothing here runs unless a configuration names ``base_url``. The key comes from the environment and goes nowhere but
into the header of a request; whatever a server says is quoted without it.
"""

import ipaddress
import json
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ragqa.errors import ConfigError, EndpointError

KEYS = ("RAGQA_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set counts."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0
_MOST_BYTES = 16 << 20
_MOST_QUOTED = 200
_SHOWN_MODELS = 8


@dataclass(slots=True)
class Reply:
    """What a server wrote.

    Attributes:
        log_probabilities: of each token, the last included; empty where the server tells none.
        ended: whether it came to an end by itself.
    """

    text: str = ""
    log_probabilities: list[float] = field(default_factory=list)
    ended: bool = True


class Endpoint:
    """One model behind ``base_url``.

    Args:
        base_url: the address up to and with ``/v1``.
        model: its name on that server.
        timeout_seconds: the longest wait for a whole answer or, while it is streamed, for its next piece.
        retries: how often a request is sent again after 429, a fault of the server or of the connection. A server
            that is silent for too long isn't asked again: it would only have more to do.

    Raises:
        ConfigError: an address that cannot be meant, or a key with characters that no key has.
    """

    def __init__(self, base_url: str, model: str, *, timeout_seconds: float, retries: int) -> None:
        self.url = checked_url(base_url)
        self.model = model
        self._key = key_for(self.url)
        self._timeout, self._retries = timeout_seconds, retries
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
            # A proxy for the world outside doesn't know this machine's own addresses.
            trust_env=not is_loopback(self.url),
        )
        # Whoever lets go of an endpoint leaves no connection behind.
        weakref.finalize(self, self._client.close)
        # What this server turned out not to know: field → what to send in its place.
        self._instead: dict[str, str | None] = {}

    def chat(self, body: Mapping[str, Any], heard: Callable[[str], bool] | None = None) -> Reply:
        """The answer to a request for a chat completion, all at once or, with ``heard``, piece by piece.

        Args:
            heard: gets each piece, and says whether to go on; otherwise the connection is closed.

        Raises:
            EndpointError: no answer, or none that can be read.
        """
        for attempt in range(self._retries + 1):
            reply = Reply()
            try:
                return self._once(self._adjusted(body), reply, heard)
            except _Unknown as fault:
                # Another form of the same request: no attempt is lost by it, and no field is taken out twice.
                self._instead[fault.field] = fault.instead
                return self.chat(body, heard)
            except _Again as fault:
                # What was heard cannot be taken back, so an answer that has begun is not asked for again.
                if attempt == self._retries or reply.text:
                    raise self._explained(fault, reply, attempt + 1) from None
                time.sleep(min(_LONGEST_WAIT, fault.after or _FIRST_WAIT * 2**attempt))
            except httpx2.TimeoutException:
                raise EndpointError(
                    f"{self.url} said nothing for {self._timeout:g} seconds",
                    next_step="a greater reader.timeout_seconds, or a smaller model",
                ) from None
        raise AssertionError("the last attempt returns or raises")

    def models(self) -> list[str]:
        """The names that the server lists.

        Raises:
            EndpointError: it does not answer, or with something else.
        """
        try:
            with self._client.stream("GET", f"{self.url}/models") as response:
                text = self._body(response)
                if response.status_code != 200:
                    raise self._refused(response, text)
            listed = json.loads(text)["data"]
            return [str(model["id"]) for model in listed]
        except httpx2.TransportError as fault:
            raise self._unreached(fault) from None
        except (ValueError, KeyError, TypeError):
            raise EndpointError(
                f"{self.url}/models lists no models: {self.quoted(text)!r}", next_step=_WITH_V1
            ) from None

    def quoted(self, text: str) -> str:
        """The beginning of what a server said, on one line and without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_MOST_QUOTED]

    def _adjusted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        names = {name: self._instead.get(name, name) for name in body}
        return {new: body[name] for name, new in names.items() if new is not None}

    def _once(self, body: Mapping[str, Any], reply: Reply, heard: Callable[[str], bool] | None) -> Reply:
        """One request; ``reply`` is filled as the answer comes.

        Raises:
            _Again: a fault that may pass.
            _Unknown: a field of the request that this server doesn't take.
        """
        streamed = heard is not None
        try:
            with self._client.stream(
                "POST", f"{self.url}/chat/completions", json={**body, "stream": streamed}
            ) as response:
                if response.status_code != 200:
                    text = self._body(response)
                    if response.status_code in _AGAIN:
                        raise _Again(self._said(text), response)
                    self._look_for_unknown(response, text, body)
                    raise self._refused_chat(response, text, body)
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if heard is not None and kind == "text/event-stream":
                    self._stream(response, reply, heard)
                else:
                    # Some servers answer all at once, whatever was asked.
                    self._take(self._body(response), reply, "message")
                    if heard is not None:
                        heard(reply.text)
        except httpx2.ConnectTimeout as fault:
            raise _Again(str(fault) or "no connection") from None
        except (httpx2.TimeoutException, httpx2.SSEError):
            raise
        except httpx2.TransportError as fault:
            raise _Again(str(fault) or type(fault).__name__) from None
        return reply

    def _stream(self, response: httpx2.Response, reply: Reply, heard: Callable[[str], bool]) -> None:
        """The events of a streamed answer.

        Raises:
            _Again: the connection broke before the end.
        """
        watch = _Watch(response, self._timeout)
        ended = False
        for event in watch.events():
            watch.begin()
            if event.data.strip() == "[DONE]":
                ended = True
                break
            before = len(reply.text)
            ended = self._take(event.data, reply, "delta") or ended
            if len(reply.text) > before and not heard(reply.text[before:]):
                return
        if not ended:
            raise _Again("the connection broke")

    def _take(self, text: str, reply: Reply, part: str) -> bool:
        """Adds a completion, or a chunk of one, to ``reply``; whether it is the last.

        Raises:
            EndpointError: it is none.
        """
        try:
            values = json.loads(text)
            if isinstance(values, dict) and "choices" not in values and "error" in values:
                raise EndpointError(f"{self.url} stopped: {self._said(text)}", next_step="the server's log")
            if not values["choices"]:
                if part == "delta":  # the closing account of some servers
                    return False
                raise EndpointError(f"{self.url} answered without any choice", next_step="the server's log")
            choice = values["choices"][0]
            reply.text += _text_of(choice.get(part) or {})
            told = choice.get("logprobs") or {}
            reply.log_probabilities += [float(one["logprob"]) for one in told.get("content") or ()]
            reason = choice.get("finish_reason")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise EndpointError(
                f"{self.url} answered with something that is no chat completion: {self.quoted(text)!r}",
                next_step=_WITH_V1,
            ) from None
        reply.ended = reply.ended and reason != "length"
        return reason is not None

    def _body(self, response: httpx2.Response) -> str:
        watch = _Watch(response, self._timeout)
        return b"".join(watch.chunks()).decode("utf-8", "replace")

    def _said(self, text: str) -> str:
        """The message in the body of a fault."""
        try:
            values = json.loads(text)
            found = values.get("error", values.get("detail", values.get("message", text)))
            found = found.get("message", found) if isinstance(found, dict) else found
        except (ValueError, AttributeError, RecursionError):
            found = text
        return self.quoted(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))

    def _look_for_unknown(self, response: httpx2.Response, text: str, body: Mapping[str, Any]) -> None:
        """
        Raises:
            _Unknown: the server refuses one of the fields that it may do without.
        """
        if response.status_code in (400, 422):
            for name, instead in _OPTIONAL.items():
                if name in body and (instead or name) in text:
                    raise _Unknown(name, instead)

    def _refused(self, response: httpx2.Response, text: str) -> EndpointError:
        """What a status code that will not change means."""
        status, said = response.status_code, self._said(text)
        if status in (401, 403):
            found = "does not accept the key" if self._key else "asks for a key"
            return EndpointError(
                f"{self.url} {found} ({status})", accepted=f"the server's key in {' or '.join(KEYS)}"
            )
        next_step = _WITH_V1 if status in (301, 302, 307, 308, 404, 405) else ""
        return EndpointError(
            f"{self.url} refused ({status}): {said or 'without a word'}", next_step=next_step
        )

    def _refused_chat(self, response: httpx2.Response, text: str, body: Mapping[str, Any]) -> EndpointError:
        """The same of a request for an answer, where the prompt or the model may be the reason."""
        status, said = response.status_code, self._said(text)
        lowered = said.lower()
        if (
            status in (400, 413, 422)
            and "context" in lowered
            and any(word in lowered for word in ("length", "size", "window", "token"))
        ):
            return EndpointError(
                f"the prompt is longer than {self.model} reads ({status}): {said}",
                next_step="a smaller reader.max_prompt_tokens, or a server with a longer context",
            )
        if status == 404 and (offered := self._offered()) and self.model not in offered:
            shown = ", ".join(map(self.quoted, offered[:_SHOWN_MODELS]))
            return EndpointError(f"there is no model {self.model!r} at {self.url}", accepted=shown)
        refused = self._refused(response, text)
        unknown = [name for name in body if name not in _NEEDED and name in said]
        if status in (400, 422) and unknown:
            refused.next_step = f"without reader.generation.{unknown[0]}, or another server"
        elif self.model in said:
            refused.next_step = "another reader.model"
        return EndpointError(refused.found, accepted=refused.accepted, next_step=refused.next_step)

    def _offered(self) -> list[str]:
        try:
            return self.models()
        except EndpointError:
            return []

    def _explained(self, fault: "_Again", reply: Reply, attempts: int) -> EndpointError:
        """A fault that did not pass."""
        times = f" after {attempts} attempts" if attempts > 1 else ""
        said = self.quoted(fault.said)
        if reply.text:
            return EndpointError(
                f"{self.url} broke off after {len(reply.text)} characters: {said}", next_step="ask again"
            )
        if fault.status is None:
            return self._unreached(fault, times)
        busy = "has too much to do" if fault.status == 429 else "has a fault"
        return EndpointError(
            f"{self.url} {busy} ({fault.status}){times}: {said or 'without a word'}",
            next_step="later, or more reader.retries" if fault.status == 429 else "the server's log",
        )

    def _unreached(self, fault: Exception, times: str = "") -> EndpointError:
        return EndpointError(
            f"{self.url} cannot be reached{times}: {self.quoted(str(fault)) or type(fault).__name__}",
            next_step="start the server, or another reader.base_url",
        )


_WITH_V1 = "is reader.base_url right? With most servers it ends with /v1"

_NEEDED = ("model", "messages", "max_tokens", "max_completion_tokens", "logprobs", "stream")

_OPTIONAL: Mapping[str, str | None] = {"max_tokens": "max_completion_tokens", "logprobs": None}
"""Fields that some servers refuse, and their newer name; a server that names that is sent it."""


class _Again(Exception):
    """A fault that may pass.

    Attributes:
        status: of the response; None where there was none.
        after: seconds that the server asks to wait.
    """

    def __init__(self, said: str, response: httpx2.Response | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.status = None if response is None else response.status_code
        asked = "" if response is None else response.headers.get("retry-after", "")
        self.after = float(asked) if asked.isdecimal() else 0.0


class _Unknown(Exception):
    """A field that this server refuses."""

    def __init__(self, field: str, instead: str | None) -> None:
        super().__init__(field)
        self.field, self.instead = field, instead


class _Watch:
    """The bytes of a response, neither too many nor for too long: a server may also trickle, or only say that it lives.

    Raises:
        httpx2.ReadTimeout: nothing of use came for ``seconds``.
        EndpointError: more bytes than any answer has.
    """

    def __init__(self, response: httpx2.Response, seconds: float) -> None:
        self._response, self._seconds = response, seconds
        self.begin()

    def begin(self) -> None:
        """The time runs from now on."""
        self._deadline = time.monotonic() + self._seconds

    def chunks(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._response.iter_bytes():
            size += len(chunk)
            if size > _MOST_BYTES:
                raise EndpointError(
                    f"{self._response.request.url.host} sends more than {_MOST_BYTES >> 20} MB for one answer",
                    next_step=_WITH_V1,
                )
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("no event", request=self._response.request)
            yield chunk

    def events(self) -> Iterator[httpx2.ServerSentEvent]:
        watched = httpx2.Response(
            200,
            headers={"content-type": "text/event-stream; charset=utf-8"},
            content=self.chunks(),
            request=self._response.request,
        )
        yield from httpx2.EventSource(watched)


def _text_of(message: Mapping[str, Any]) -> str:
    """The text of a message or a delta; some servers give it in parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError(type(content).__name__)
    return content or ""


def checked_url(base_url: str) -> str:
    """The address of a server without a slash at its end.

    Raises:
        ConfigError: no address, or one that carries a password, which belongs into the environment.
    """
    accepted = "http://HOST:PORT/v1 or https://HOST/v1"
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("reader.base_url is no address", accepted=accepted) from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            "reader.base_url carries more than an address",
            accepted=accepted,
            next_step=f"put the key into the environment: {KEYS[0]}",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"reader.base_url = {base_url!r} is no address", accepted=accepted)
    return base_url.strip().rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether an address is this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def key_for(url: str) -> str:
    """The key in the environment; empty where there is none.

    One that was put there for ragqa goes to any server; ``OPENAI_API_KEY``, which others set for other ends, only
    over TLS or to this machine.

    Raises:
        ConfigError: it has characters that no key has, such as a line break.
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    if name is None or (name != KEYS[0] and not (url.startswith("https:") or is_loopback(url))):
        return ""
    key = os.environ[name].strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{name} holds characters that no key has", accepted="letters, digits, signs")
    return key
