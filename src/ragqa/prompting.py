"""Question and passages → the text that a language model goes on from; shared by training and reading.

A template (``ragqa.templates``) sees ``question``, ``passages`` (each with ``title`` and ``text``), ``not_here``, what
the model shall write when the passages do not answer, ``shots``, the worked examples (each with ``question``,
``passages`` and ``answer``), ``schema``, the JSON Schema of the answer or nothing, and ``fault``: at a second try what
was ``written`` at the first, and the ``reason`` why it would not do.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateError

from ragqa.analysis import is_han
from ragqa.errors import ConfigError, ModelError
from ragqa.sentences import sentences
from ragqa.templates import Quoted, Template, quoter
from ragqa.types import Passage

NOT_HERE = {"en": "not in these documents", "zh": "文档中没有答案"}
"""What a model writes where the passages do not answer."""


def language_of(question: str) -> str:
    """The language in which the question is put to the model: ``zh`` or ``en``."""
    return "zh" if is_han(question) else "en"


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example: a question, what it is answered from, and the answer as a model shall write it."""

    question: str
    passages: tuple[Passage, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What a model wrote, and why it would not do."""

    written: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt, and what of the passages it holds.

    Attributes:
        passages: those that found room, in their order; the first may be cut at the end of a sentence.
        left_out: passages that found none.
        is_cut: whether the first passage was cut.
        text: what the ids stand for, without a chat template.
        shots: worked examples in it.
        shots_left_out: those that found no room.
    """

    ids: tuple[int, ...]
    passages: tuple[Passage, ...]
    left_out: int
    is_cut: bool
    text: str = ""
    shots: int = 0
    shots_left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a prompt is made of, beside passages and worked examples."""

    language: str
    question: str
    fault: Fault | None = None


class Prompter:
    """Writes prompts of at most ``max_tokens`` tokens for one model.

    Args:
        tokenizer: of transformers; its chat template is used where it has one.
        template: a name, or the path of a Jinja file.
        shots: question → worked examples, the best first. In the prompt the best stands last, beside the question. None
            is in it that takes the room of a passage.
        schema: the JSON Schema that answers shall fit.

    Raises:
        ConfigError: there is no such template, it cannot be read, or it has no place for ``shots`` or ``schema``.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        template: str = "zero_shot",
        max_tokens: int = 1024,
        shots: Callable[[str], Sequence[Shot]] | None = None,
        schema: str = "",
    ) -> None:
        self._tokenizer, self._name, self._max_tokens = tokenizer, template, max_tokens
        self._shots, self._schema = shots, schema
        self._quote = quoter(map(str, getattr(tokenizer, "all_special_tokens", ())))
        self._templates = {language: Template(template, language) for language in NOT_HERE}
        self._check()

    def _check(self) -> None:
        """Try every template out, before a question is asked."""
        sample = Passage("", 0, 1, "?", "?")
        for language, template in self._templates.items():
            asked = _Asked(language, "?", Fault("?", "?"))
            self._text(_Asked(language, "?"), ())
            self._text(asked, (sample,), (Shot("?", (sample,), "?"),))
            wanted = {"shots"} if self._shots else set()
            wanted |= {"schema", "fault"} if self._schema else set()
            for variable in sorted(wanted - template.used):
                raise ConfigError(
                    f"the prompt {self._name} has no place for {_MEANING[variable]}",
                    accepted=f"one that uses {', '.join(sorted(wanted))}",
                    next_step=f"the prompt {'few_shot' if variable == 'shots' else 'json'}",
                )

    def prompt(self, question: str, passages: Sequence[Passage], fault: Fault | None = None) -> Prompt:
        """The prompt with as many passages as find room, best first; the first is cut if it must be.

        Worked examples are in it only beside all passages, as many as find room.

        Args:
            fault: of what was written for the question before.

        Raises:
            ConfigError: the question and the template alone take more than ``max_tokens``.
        """
        asked = _Asked(language_of(question), question, fault)
        shots = tuple(self._shots(question)) if self._shots and passages else ()
        counts = range(1, len(shots) + 1)
        count = bisect_right(
            counts, self._max_tokens, key=lambda n: len(self._ids(asked, passages, shots[:n]))
        )
        if not count:
            return replace(self._packed(asked, passages), shots_left_out=len(shots))
        return Prompt(
            tuple(self._ids(asked, passages, shots[:count])),
            tuple(passages),
            0,
            is_cut=False,
            text=self._text(asked, passages, shots[:count]),
            shots=count,
            shots_left_out=len(shots) - count,
        )

    def _packed(self, asked: _Asked, passages: Sequence[Passage]) -> Prompt:
        """As many passages as find room, best first."""
        kept: tuple[Passage, ...] = ()
        ids = self._ids(asked, kept)
        if len(ids) > self._max_tokens:
            raise ConfigError(
                f"the question and the prompt {self._name} take {len(ids)} tokens",
                accepted=f"at most {self._max_tokens}",
                next_step="ask a shorter question, or raise max_prompt_tokens",
            )
        for passage in passages:
            more = self._ids(asked, (*kept, passage))
            if len(more) <= self._max_tokens:
                kept, ids = (*kept, passage), more
        is_cut = False
        if passages and not kept:
            kept, ids = self._cut(asked, passages[0])
            is_cut = bool(kept)
        return Prompt(tuple(ids), kept, len(passages) - len(kept), is_cut, self._text(asked, kept))

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer with the one that ends it."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return (*ids, self._tokenizer.eos_token_id)

    def _cut(self, asked: _Asked, passage: Passage) -> tuple[tuple[Passage, ...], list[int]]:
        """As many whole sentences of ``passage`` as find room, from its beginning."""
        ends = [span.end for span in sentences(passage.text)]
        best: tuple[tuple[Passage, ...], list[int]] = ((), self._ids(asked, ()))
        low, high = 0, len(ends) - 1
        while low <= high:
            middle = (low + high) // 2
            piece = replace(passage, text=passage.text[: ends[middle]], end=passage.start + ends[middle])
            ids = self._ids(asked, (piece,))
            if len(ids) <= self._max_tokens:
                best, low = ((piece,), ids), middle + 1
            else:
                high = middle - 1
        return best

    def _ids(self, asked: _Asked, passages: Sequence[Passage], shots: Sequence[Shot] = ()) -> list[int]:
        text = self._text(asked, passages, shots)
        if getattr(self._tokenizer, "chat_template", None):
            try:
                text = self._tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
                )
            except TemplateError as fault:  # it may also refuse what it is asked for
                raise ModelError(f"the model's chat template: {fault}", next_step="another model") from fault
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self._tokenizer(text)["input_ids"])

    def _text(self, asked: _Asked, passages: Sequence[Passage], shots: Sequence[Shot] = ()) -> str:
        quote, fault = self._quote, asked.fault
        return self._templates[asked.language].render(
            question=quote(asked.question),
            passages=self._quoted(passages),
            not_here=NOT_HERE[asked.language],
            shots=[
                {
                    "question": quote(shot.question),
                    "passages": self._quoted(shot.passages),
                    "answer": quote(shot.answer),
                }
                for shot in reversed(shots)
            ],
            schema=self._schema,
            fault=fault and {"written": quote(fault.written), "reason": quote(fault.reason)},
        )

    def _quoted(self, passages: Sequence[Passage]) -> list[Quoted]:
        return [Quoted(self._quote(passage.title), self._quote(passage.text)) for passage in passages]


_MEANING = {"shots": "worked examples", "schema": "a JSON Schema", "fault": "what is to be corrected"}
