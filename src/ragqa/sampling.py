"""How the next token is chosen: the options under ``generation:``, the same for local models and for a server."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragqa.errors import ConfigError

_DRAWING = ("top_p", "top_k", "min_p")
"""Options that narrow a draw; where the likeliest token is taken they would change nothing."""

_OURS = ("model", "messages", "stream", "max_tokens", "max_completion_tokens", "logprobs", "n")
"""Fields of a request that are not the user's to set."""


class Sampling(BaseModel):
    """Decoding options; what is not set stays as the model would have it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float = Field(0.0, ge=0, le=2, description="0: the likeliest token each time; above: a draw")
    top_p: float | None = Field(
        None, gt=0, le=1, description="draw from the likeliest of this probability together"
    )
    top_k: int | None = Field(None, ge=1, description="draw from so many of the likeliest")
    min_p: float | None = Field(
        None, ge=0, le=1, description="draw from those of this share of the likeliest one's"
    )
    repetition_penalty: float | None = Field(
        None, gt=0, le=10, description="above 1: less of what was written"
    )
    stop: str | list[str] | None = Field(None, description="the answer ends before any of these words")
    seed: int | None = Field(None, ge=0, lt=2**32, description="the same draw each time")
    extra_body: dict[str, Any] | None = Field(None, description="sent to a server as it stands")

    @property
    def stops(self) -> list[str]:
        """The texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    def given(self) -> dict[str, Any]:
        """What was set, by name."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


GREEDY = Sampling()
"""The likeliest token each time."""


def sampling_of(options: Mapping[str, Any] | None) -> Sampling:
    """The options under ``reader.generation``, checked.

    Raises:
        ConfigError: an unknown option, a value out of range, or one that has no effect without another.
    """
    try:
        found = Sampling.model_validate(dict(options or {}))
    except ValidationError as fault:
        first = fault.errors()[0]
        name = ".".join(str(key) for key in first["loc"][:1])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"reader.generation takes no option {name!r}", accepted=", ".join(Sampling.model_fields)
            ) from None
        raise ConfigError(f"reader.generation.{name} = {first['input']!r}: {first['msg']}") from None
    useless = [name for name in _DRAWING if getattr(found, name) is not None and not found.temperature]
    if useless:
        raise ConfigError(
            f"reader.generation.{useless[0]} narrows a draw, and at temperature 0 nothing is drawn",
            next_step="set reader.generation.temperature above 0, or leave it out",
        )
    if not all(found.stops if found.stop is not None else [" "]):
        raise ConfigError("reader.generation.stop is empty", accepted="a text, or a list of texts")
    if taken := [name for name in _OURS if name in (found.extra_body or {})]:
        raise ConfigError(
            f"reader.generation.extra_body sets {taken[0]}", accepted="fields that ragqa does not set"
        )
    return found


def before_stop(text: str, stops: list[str]) -> str:
    """``text`` up to the first of ``stops`` in it."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def safe_before_stop(text: str, stops: list[str]) -> str:
    """``text`` up to the first of ``stops``, and without an end that may become one of them."""
    cut = before_stop(text, stops)
    if len(cut) < len(text):
        return cut
    begun = (n for stop in stops for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n]))
    return text[: len(text) - max(begun, default=0)]


def refuse_sampling(sampling: Sampling) -> None:
    """For a model that can do nothing but take the likeliest token each time.

    Raises:
        ConfigError: anything else is asked of it.
    """
    if asked := [name for name, value in sampling.given().items() if (name, value) != ("temperature", 0)]:
        raise ConfigError(
            f"reader.generation.{asked[0]}: a generator with a pointer writes the likeliest token each time",
            accepted="temperature: 0",
            next_step="a language model: reader.model=FOLDER, or one behind reader.base_url",
        )


def refuse_server_options(sampling: Sampling) -> None:
    """For a model in this process.

    Raises:
        ConfigError: something is asked that only a server can do.
    """
    if sampling.extra_body is not None:
        raise ConfigError("reader.generation.extra_body is for servers", next_step="set reader.base_url, too")
