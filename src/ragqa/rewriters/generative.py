"""A language model rewrites the question from the earlier turns; where what it writes cannot be trusted, rules do.

A rewrite is trusted if it keeps what the question is about and brings in nothing that nobody has said: a model that
answers the question instead, goes on talking or invents a topic is not heeded.
"""

from collections.abc import Sequence
from typing import Any

from ragqa import backbone, plugins
from ragqa.analysis import is_han, terms
from ragqa.followups import chinese, english
from ragqa.protocols import Rewriter
from ragqa.recipe import Recipe
from ragqa.streaming import declines
from ragqa.templates import REWRITE
from ragqa.trickle import trickled
from ragqa.types import Passage, Rewritten, Turn
from ragqa.writers import writer_of

_LONGEST = 400
"""Characters of a question that stands alone."""


class GenerativeRewriter:
    """Asks a language model of transformers, or one behind a server that speaks the OpenAI protocol.

    Args:
        model: a Hugging Face folder, or a name on the server; the shipped generator follows no prompt.
        prompt: the template, by name or as a Jinja file; its passages are the earlier turns, the latest first.
        base_url, device, precision, max_prompt_tokens, max_answer_tokens, generation, timeout_seconds, retries: as of
            the generative reader.

    Raises:
        ConfigError: settings that do not go together.
        ModelError: no such model.
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        prompt: str = REWRITE,
        base_url: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        max_prompt_tokens: int | None = None,
        max_answer_tokens: int = 64,
        generation: dict[str, Any] | None = None,
        timeout_seconds: float = 120.0,
        retries: int = 2,
    ) -> None:
        self._writer = writer_of(
            model,
            section="conversation.rewriter",
            recipe=Recipe(prompt=prompt),
            base_url=base_url,
            device=device,
            precision=precision,
            max_prompt_tokens=max_prompt_tokens,
            max_answer_tokens=max_answer_tokens,
            generation=generation,
            timeout_seconds=timeout_seconds,
            retries=retries,
        )
        self._rules: Rewriter = plugins.build("rewriters", {"name": "rules"})

    def rewrite(self, history: Sequence[Turn], question: str) -> Rewritten:
        """The model's rewrite, or that of the rules; the reason says which, and why."""
        if not history:
            return Rewritten(question, "the first question")
        (draft,) = self._writer.write([question], [[_told(turn) for turn in reversed(history)]])
        text, is_endless = trickled(draft.text)
        fault = "it repeated itself" if is_endless else _fault(text, question, history)
        if fault:
            found = self._rules.rewrite(history, question)
            return Rewritten(found.text, f"{found.reason} (rules; the model was not heeded: {fault})")
        return Rewritten(text, "by the model" if text != question.strip() else "stands alone, says the model")


def _told(turn: Turn) -> Passage:
    """A turn as a template quotes it."""
    text = turn.standalone if turn.answer is None else f"{turn.standalone}\n{turn.answer}"
    return Passage("", 0, len(text), text)


def _fault(text: str, question: str, history: Sequence[Turn]) -> str:
    """Why a rewrite cannot be trusted, if it cannot."""
    if declines(text):
        return "it wrote nothing"
    if len(text) > _LONGEST or len(text.splitlines()) > 1:
        return "it wrote more than a question"
    is_chinese = is_han(question)
    content = chinese.content if is_chinese else english.content
    if lost := content(question) - set(terms(text)):
        return f"{', '.join(sorted(lost))} went missing"
    said = {term for turn in history for part in _parts(turn) for term in terms(part)}
    if invented := content(text) - said - set(terms(question)) - (set() if is_chinese else _JOINING):
        return f"nobody said {', '.join(sorted(invented))}"
    return ""


def _parts(turn: Turn) -> tuple[str, ...]:
    return (turn.question, turn.standalone, turn.answer or "")


_JOINING = set(
    terms("who whom whose what which when where why how many much do does did done be been has have had can")
)
"""What a question is put with."""
