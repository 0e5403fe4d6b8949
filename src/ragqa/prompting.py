"""Question and passages → the text that a language model goes on from; shared by training and reading.

A template is a Jinja file: one of ``ragqa/prompts``, or the user's own. It sees ``question``, ``passages`` (each with
``title`` and ``text``) and ``not_here``, what the model shall write when the passages do not answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ragqa.analysis import is_han
from ragqa.errors import ConfigError, ModelError
from ragqa.sentences import sentences
from ragqa.types import Passage

NOT_HERE = {"en": "not in these documents", "zh": "文档中没有答案"}
"""What a model writes where the passages do not answer."""

_FOLDER = Path(__file__).parent / "prompts"


def language_of(question: str) -> str:
    """The language in which the question is put to the model: ``zh`` or ``en``."""
    return "zh" if is_han(question) else "en"


def names() -> list[str]:
    """The templates that come with ragqa."""
    return sorted({file.name.split(".")[0] for file in _FOLDER.glob("*.jinja")})


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt, and what of the passages it holds.

    Attributes:
        passages: those that found room, in their order; the first may be cut at the end of a sentence.
        left_out: passages that found none.
        is_cut: whether the first passage was cut.
        text: what the ids stand for, without a chat template.
    """

    ids: tuple[int, ...]
    passages: tuple[Passage, ...]
    left_out: int
    is_cut: bool
    text: str = ""


class Prompter:
    """Writes prompts of at most ``max_tokens`` tokens for one model.

    Args:
        tokenizer: of transformers; its chat template is used where it has one.
        template: a name, or the path of a Jinja file.

    Raises:
        ConfigError: there is no such template, or it cannot be read.
    """

    def __init__(self, tokenizer: Any, *, template: str = "zero_shot", max_tokens: int = 1024) -> None:
        self._tokenizer, self._name, self._max_tokens = tokenizer, template, max_tokens
        self._templates = {language: _template(template, language) for language in NOT_HERE}
        for language in NOT_HERE:
            self._text(language, "?", ())

    def prompt(self, question: str, passages: Sequence[Passage]) -> Prompt:
        """The prompt with as many passages as find room, best first; the first is cut if it must be.

        Raises:
            ConfigError: the question and the template alone take more than ``max_tokens``.
        """
        language = language_of(question)
        kept: tuple[Passage, ...] = ()
        ids = self._ids(language, question, kept)
        if len(ids) > self._max_tokens:
            raise ConfigError(
                f"the question and the prompt {self._name} take {len(ids)} tokens",
                accepted=f"at most {self._max_tokens}",
                next_step="ask a shorter question, or raise max_prompt_tokens",
            )
        for passage in passages:
            more = self._ids(language, question, (*kept, passage))
            if len(more) <= self._max_tokens:
                kept, ids = (*kept, passage), more
        is_cut = False
        if passages and not kept:
            kept, ids = self._cut(language, question, passages[0])
            is_cut = bool(kept)
        text = self._text(language, question, kept)
        return Prompt(tuple(ids), kept, len(passages) - len(kept), is_cut, text)

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer with the one that ends it."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return (*ids, self._tokenizer.eos_token_id)

    def _cut(self, language: str, question: str, passage: Passage) -> tuple[tuple[Passage, ...], list[int]]:
        """As many whole sentences of ``passage`` as find room, from its beginning."""
        ends = [span.end for span in sentences(passage.text)]
        best: tuple[tuple[Passage, ...], list[int]] = ((), self._ids(language, question, ()))
        low, high = 0, len(ends) - 1
        while low <= high:
            middle = (low + high) // 2
            piece = replace(passage, text=passage.text[: ends[middle]], end=passage.start + ends[middle])
            ids = self._ids(language, question, (piece,))
            if len(ids) <= self._max_tokens:
                best, low = ((piece,), ids), middle + 1
            else:
                high = middle - 1
        return best

    def _ids(self, language: str, question: str, passages: Sequence[Passage]) -> list[int]:
        text = self._text(language, question, passages)
        if getattr(self._tokenizer, "chat_template", None):
            try:
                text = self._tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
                )
            except TemplateError as fault:  # it may also refuse what it is asked for
                raise ModelError(f"the model's chat template: {fault}", next_step="another model") from fault
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self._tokenizer(text)["input_ids"])

    def _text(self, language: str, question: str, passages: Sequence[Passage]) -> str:
        try:
            return self._templates[language].render(
                question=question, passages=passages, not_here=NOT_HERE[language]
            )
        except (UndefinedError, SecurityError) as fault:
            raise ConfigError(
                f"the prompt {self._name}: {fault.message}", accepted="question, passages, not_here"
            ) from fault


def _template(name: str, language: str) -> Template:
    """The template of that name in that language, or the user's file, which serves every language."""
    path = _FOLDER / f"{name}.{language}.jinja"
    if name not in names():
        path = Path(name)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            f"there is no prompt {name!r}", accepted=f"{', '.join(names())}, or the path of a Jinja file"
        ) from fault
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        return environment.from_string(source.rstrip("\n"))
    except TemplateError as fault:
        raise ConfigError(f"the prompt {name}: {fault}", accepted="a Jinja template") from fault
