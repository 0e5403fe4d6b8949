"""How questions are put to a language model: which template, which worked examples, which JSON Schema."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ragqa.errors import ConfigError
from ragqa.prompting import Prompter, Shot
from ragqa.schemas import Schema
from ragqa.shots import FirstShots, NearestShots, load_shots, shipped_shots

AUTO = "auto"
"""The template that the other options ask for."""

_SHOTS = 3
"""Worked examples where the template shows some and nobody said how many."""
_SHOT_TOKENS = 256
"""Room for one of them, with a passage of common length."""
_FAULT_TOKENS = 256
"""Room for a first try that has to be corrected."""


class Recipe:
    """The options of a reader that say how questions are put; read and checked once.

    Args:
        prompt: a template by name or as a Jinja file; "auto": json with a schema, few_shot with worked examples,
            zero_shot otherwise.
        shots: how many worked examples; None: 3 where few_shot or ``examples`` are named, else none.
        examples: a file in ragqa's own form with labelled questions, from which they are taken; None: those shipped.
        nearest: whether of ``examples`` those nearest to the question are taken, or the first.
        schema: a file with the JSON Schema that answers shall fit.

    Raises:
        ConfigError: options that do not go together, or a file that does not fit.
        DataError: examples that do not fit.
    """

    def __init__(
        self,
        *,
        prompt: str = AUTO,
        shots: int | None = None,
        examples: str | None = None,
        nearest: bool = True,
        schema: str | None = None,
    ) -> None:
        if shots is not None and not 0 <= shots <= 64:
            raise ConfigError(f"reader.shots = {shots}", accepted="0 to 64")
        self.schema = None if schema is None else Schema(Path(schema).expanduser())
        wants = shots != 0 and (shots is not None or examples is not None or prompt == "few_shot")
        self.count = (shots or _SHOTS) if wants else 0
        self.prompt = _template(prompt, self.count, schema is not None)
        if self.prompt == "json" and self.schema is None:
            raise ConfigError("the prompt json needs a JSON Schema", next_step="reader.schema=FILE.json")
        self._shots = _source(self.count, examples, nearest)
        self.is_plain = prompt == AUTO and not self.count and self.schema is None

    @property
    def more_tokens(self) -> int:
        """Room that a prompt needs beyond that for question and passages."""
        schema = 0 if self.schema is None else _FAULT_TOKENS + len(self.schema.text) // 3
        return _SHOT_TOKENS * self.count + schema

    def prompter(self, tokenizer: Any, max_tokens: int) -> Prompter:
        """What writes the prompts for the model of a tokenizer."""
        return Prompter(
            tokenizer,
            template=self.prompt,
            max_tokens=max_tokens,
            shots=self._shots,
            schema="" if self.schema is None else self.schema.text,
        )


def _template(prompt: str, shots: int, has_schema: bool) -> str:
    if prompt != AUTO:
        return prompt
    if has_schema:
        return "json"
    return "few_shot" if shots else "zero_shot"


def _source(count: int, examples: str | None, nearest: bool) -> Callable[[str], Sequence[Shot]] | None:
    if not count:
        return None
    if examples is None:
        return FirstShots(shipped_shots(), count)
    shots = load_shots(Path(examples).expanduser())
    return NearestShots(shots, count) if nearest else FirstShots(shots, count)
