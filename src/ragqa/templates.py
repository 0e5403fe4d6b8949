"""Templates of prompts: Jinja files in ``ragqa/prompts`` or the user's own, and documents in them as quotations.

What comes from a document is data. It stands between marks that it cannot write itself, so that no passage can end its
quotation and go on as an instruction; nor can it write the marks by which a chat model tells the turns of a dialogue.
A template gets what it quotes with such marks broken up by spaces. Only the prompt has them broken: what is cited is
taken from the passage itself.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ragqa.errors import ConfigError

VARIABLES = ("question", "passages", "not_here", "shots", "schema", "fault")
"""What a template sees."""

REWRITE = "rewrite"
"""The template that makes a question stand alone; its passages are the earlier turns."""

_FOLDER = Path(__file__).parent / "prompts"
_OPEN, _CLOSE = "<<<", ">>>"
_MARKS = (
    r"<{3,}|>{3,}|<\|[^|<>\s]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?s>|<</?SYS>>|\[/?INST\]|<(?:start|end)_of_turn>"
)
"""The fence, and the turns of the common families of chat models."""


def names() -> list[str]:
    """The templates for questions that come with ragqa."""
    return sorted({file.name.split(".")[0] for file in _FOLDER.glob("*.jinja")} - {REWRITE})


@dataclass(frozen=True, slots=True)
class Quoted:
    """A passage as a template sees it."""

    title: str
    text: str


def fenced(passages: Sequence[Quoted]) -> str:
    """The passages, numbered, each between the marks of the fence; ``{{ passages | fenced }}`` in a template."""
    texts = (f"{one.title}\n{one.text}" if one.title else one.text for one in passages)
    return "\n\n".join(f"{_OPEN}{n}\n{text}\n{n}{_CLOSE}" for n, text in enumerate(texts, 1))


def quoter(special_tokens: Iterable[str]) -> Callable[[str], str]:
    """Breaks up marks in a text: those of the fence, of chat models, and the special tokens of a tokenizer."""
    tokens = sorted({token for token in special_tokens if len(token) > 1 and not re.search(r"\s", token)})
    pattern = re.compile("|".join([_MARKS, *map(re.escape, tokens)]))

    def quote(text: str) -> str:
        while pattern.search(text):  # what breaking one mark leaves may be another
            text = pattern.sub(_broken, text)
        return text

    return quote


def _broken(mark: re.Match[str]) -> str:
    first, rest = mark[0][0], mark[0][1:]
    return " ".join(mark[0]) if rest[:1] == first else f"{first} {rest}"


class Template:
    """One Jinja file in one language; the user's own serves every language.

    Attributes:
        used: the variables that it names.

    Raises:
        ConfigError: there is no such template, it cannot be read, or it names an unknown variable.
    """

    def __init__(self, name: str, language: str) -> None:
        self.name = name
        source = _source(name, language)
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
        environment.filters["fenced"] = fenced
        try:
            self.used = frozenset(meta.find_undeclared_variables(environment.parse(source)))
            self._template: jinja2.Template = environment.from_string(source)
        except TemplateError as fault:
            raise ConfigError(f"the prompt {name}: {fault}", accepted="a Jinja template") from fault
        for variable in sorted(self.used.difference(VARIABLES)):
            raise ConfigError(f"the prompt {name}: {variable!r} is undefined", accepted=", ".join(VARIABLES))

    def render(self, **values: Any) -> str:
        """The text of a prompt.

        Raises:
            ConfigError: the template asks of a value what it does not have.
        """
        try:
            return self._template.render(**values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as fault:
            raise ConfigError(f"the prompt {self.name}: {fault}", accepted=", ".join(VARIABLES)) from fault


def _source(name: str, language: str) -> str:
    path = _FOLDER / f"{name}.{language}.jinja"
    if name not in (*names(), REWRITE):
        path = Path(name)
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            f"there is no prompt {name!r}", accepted=f"{', '.join(names())}, or the path of a Jinja file"
        ) from fault
