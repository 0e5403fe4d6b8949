"""Writes with a model behind an OpenAI-compatible server: the templates of local models, as one message of a chat.

No tokenizer of the server is known. Tokens are counted with the backbone's, 30,000 English word pieces, of which a
text takes as many as of a language model's larger vocabulary or more; where it knows a script badly, a quarter of the
UTF-8 bytes is counted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ragqa import backbone
from ragqa.drafts import Draft
from ragqa.endpoint import Endpoint
from ragqa.prompting import Fault
from ragqa.protocols import Heard
from ragqa.recipe import Recipe
from ragqa.sampling import Sampling, before_stop, safe_before_stop
from ragqa.trickle import Trickle
from ragqa.types import Passage
from ragqa.windows import load_tokenizer

PROMPT_TOKENS = 2048
"""How many tokens a prompt may take if nothing else is said: any server's model reads twice as many."""

_CHARACTERS_A_TOKEN = 40
"""More than the longest tokens have: a server that writes more does not keep to ``max_tokens``."""


class EndpointWriter:
    """Asks the server question by question.

    Args:
        recipe: how questions are put.
        max_tokens: of a prompt, counted as the module says; passages that find no room in them are left out.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        recipe: Recipe | None = None,
        max_tokens: int | None = None,
        max_answer_tokens: int = 64,
        sampling: Sampling,
    ) -> None:
        self._endpoint, self._sampling, self._max_answer_tokens = endpoint, sampling, max_answer_tokens
        recipe = recipe or Recipe()
        room = PROMPT_TOKENS + recipe.more_tokens if max_tokens is None else max_tokens
        self._prompter = recipe.prompter(_Counter(backbone.builtin_path()), room)

    def write(
        self,
        questions: Sequence[str],
        passages: Sequence[Sequence[Passage]],
        heard: Heard | None = None,
        *,
        faults: Sequence[Fault | None] | None = None,
    ) -> list[Draft]:
        """One draft for each question.

        Args:
            faults: of what was written for each before.
            heard: gets the pieces of the only question's answer as they come; together they are its text.

        Raises:
            EndpointError: the server does not answer, or with something else.
            ConfigError: a question that finds no room.
        """
        faults = [None] * len(questions) if faults is None else faults
        return [
            self._draft(question, mine, fault, heard)
            for question, mine, fault in zip(questions, passages, faults, strict=True)
        ]

    def _draft(
        self, question: str, passages: Sequence[Passage], fault: Fault | None, heard: Heard | None
    ) -> Draft:
        prompt = self._prompter.prompt(question, passages, fault)
        most = _CHARACTERS_A_TOKEN * self._max_answer_tokens
        answer = _Answer(most, self._sampling.stops, heard)
        reply = self._endpoint.chat(self._request(prompt.text), None if heard is None else answer.hear)
        text = answer.end(reply.text)
        told = reply.log_probabilities
        return Draft(
            text,
            sum(told) / len(told) if told else 0.0,
            prompt.passages,
            prompt.left_out,
            prompt.is_cut,
            is_measured=bool(told),
            note="" if reply.ended or answer.is_endless else _cut_short(text),
            prompt_tokens=len(prompt.ids),
            shots=prompt.shots,
            shots_left_out=prompt.shots_left_out,
        )

    def _request(self, text: str) -> dict[str, Any]:
        given = self._sampling.given()
        extra = given.pop("extra_body", {})
        return {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": self._max_answer_tokens,
            "temperature": self._sampling.temperature,
            "logprobs": True,
            **given,
            **extra,
        }


class _Answer:
    """What is kept of a server's words: no more than ``most`` characters, up to the first of ``stops``.

    Some servers write the words that end an answer, too, and some more than they were asked for.
    """

    def __init__(self, most: int, stops: list[str], heard: Heard | None) -> None:
        self._most, self._stops, self._heard = most, stops, heard
        self._written, self._fed, self._trickle = "", 0, Trickle()

    @property
    def is_endless(self) -> bool:
        return self._trickle.is_endless

    def hear(self, piece: str) -> bool:
        """Take the next piece; whether another one is wanted."""
        self._written += piece
        self._feed(safe_before_stop(self._written[: self._most], self._stops))
        is_over = before_stop(self._written, self._stops) != self._written
        return not (is_over or self.is_endless or len(self._written) > self._most)

    def end(self, written: str) -> str:
        """The answer, of all that was written."""
        self._feed(before_stop(written[: self._most], self._stops))
        self._pass(self._trickle.finish())
        return self._trickle.text

    def _feed(self, text: str) -> None:
        self._pass(self._trickle.feed(text[self._fed :]))
        self._fed = len(text)

    def _pass(self, piece: str) -> None:
        if self._heard is not None:
            self._heard(piece)


def _cut_short(text: str) -> str:
    return "the answer ends at max_answer_tokens" if text else "max_answer_tokens went by without an answer"


class _Counter:
    """Counts tokens, and looks to a ``Prompter`` like a tokenizer of transformers without a chat template."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Tokenizer = load_tokenizer(folder)

    def __call__(self, text: str) -> dict[str, range]:
        pieces = len(self._tokenizer.encode(text).ids)
        return {"input_ids": range(max(pieces, len(text.encode()) // 4))}
