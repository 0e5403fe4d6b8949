"""Who writes: a language model that goes on from a prompt, or an encoder–decoder with a pointer; one contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ragqa import pretrained
from ragqa.beams import GREEDILY, BeamSearch
from ragqa.drafts import Draft, Writer
from ragqa.errors import ConfigError
from ragqa.prompting import Fault
from ragqa.protocols import Heard
from ragqa.recipe import Recipe
from ragqa.sampling import GREEDY, Sampling, refuse_sampling, refuse_server_options
from ragqa.sources import (
    ANSWER,
    ASK,
    ASKING,
    MAX_WRITTEN_TOKENS,
    POINTER,
    Source,
    Sources,
    pad_sources,
    to_answer,
    to_ask,
)
from ragqa.streaming import Detokenizer
from ragqa.surface import Read, Surface, Written, inner_pieces, surface
from ragqa.types import Passage, Span
from ragqa.windows import TokenText, Windower, load_tokenizer, tokenize

# torch and transformers take seconds to import, and what is shipped is served without them.
if TYPE_CHECKING:
    import torch

    from ragqa.models.generator import Generator

PROMPT_TOKENS, SOURCE_TOKENS = 1024, 2048
"""How many tokens question and passages may take if nothing else is said: in a prompt, in rows of their own."""

QUESTION_SEARCH = BeamSearch(8, reward=0.05)
"""Questions are written side by side, as nobody waits for their words; answers are shown as they are written."""

_BATCH = 8


class PromptedWriter:
    """A language model of transformers behind a prompt."""

    def __init__(
        self,
        model: "Generator",
        tokenizer: Any,
        *,
        recipe: Recipe,
        max_tokens: int = PROMPT_TOKENS,
        max_answer_tokens: int = 64,
        sampling: Sampling = GREEDY,
    ) -> None:
        refuse_server_options(sampling)
        self._model, self._tokenizer, self._max_answer_tokens = model, tokenizer, max_answer_tokens
        self._sampling = sampling
        room = min(max_tokens, model.room(max_answer_tokens))
        self._prompter = recipe.prompter(tokenizer, room)

    def write(
        self,
        questions: Sequence[str],
        passages: Sequence[Sequence[Passage]],
        heard: Heard | None = None,
        *,
        faults: Sequence[Fault | None] | None = None,
    ) -> list[Draft]:
        """One draft for each question, see ``Writer``; ``faults`` are those of what was written for it before."""
        faults = [None] * len(questions) if faults is None else faults
        found: list[Draft] = []
        live = None if heard is None or len(questions) > 1 else self._detokenizer(heard)
        for at in range(0, len(questions), _BATCH):
            few = zip(*(all_[at : at + _BATCH] for all_ in (questions, passages, faults)), strict=True)
            prompts = [self._prompter.prompt(question, mine, fault) for question, mine, fault in few]
            written = self._model.write(
                [prompt.ids for prompt in prompts],
                self._tokenizer,
                max_tokens=self._max_answer_tokens,
                sampling=self._sampling,
                heard=None if live is None else live.add,
            )
            for prompt, one in zip(prompts, written, strict=True):
                text = self._text(one.ids) if live is None else live.end()
                found.append(
                    Draft(
                        text,
                        one.log_probability,
                        prompt.passages,
                        prompt.left_out,
                        prompt.is_cut,
                        prompt_tokens=len(prompt.ids),
                        shots=prompt.shots,
                        shots_left_out=prompt.shots_left_out,
                    )
                )
        return found

    def _text(self, ids: Sequence[int]) -> str:
        """What a listener would have heard."""
        detokenizer = self._detokenizer()
        for token in ids:
            detokenizer.add(token)
        return detokenizer.end()

    def _detokenizer(self, heard: Heard | None = None) -> Detokenizer:
        decode = partial(self._tokenizer.decode, skip_special_tokens=True)
        return Detokenizer(decode, self._tokenizer.convert_ids_to_tokens, heard, self._sampling.stops)


@dataclass(frozen=True, slots=True)
class _Packed:
    """The rows of one question, and the passages in them."""

    sources: tuple[Source, ...]
    read: Read
    left_out: int
    is_cut: bool


class Pointing(Protocol):
    """An encoder–decoder with a pointer, wherever it computes."""

    def write(
        self,
        sources: Sources,
        tasks: Sequence[int],
        *,
        end: int,
        max_tokens: int,
        inner: npt.NDArray[np.bool_],
        search: BeamSearch = GREEDILY,
        heard: Callable[[int, bool], None] | None = None,
    ) -> list[tuple[Written, ...]]:
        """What ``search`` finds for each question of ``sources``, best first, up to ``end`` or ``max_tokens``.

        Args:
            inner: which tokens go on with the word before them, (V,); see ``ragqa.guiding``.
            heard: gets each token of the first question as it is written, and whether it was copied; greedily only.
        """


class PointerWriter:
    """The encoder–decoder with a pointer; ``ask`` turns it round.

    Args:
        max_tokens: of all rows of a question together; passages that find no room in them are left out.
        batch: questions that are written together.

    Raises:
        ConfigError: longer answers than the decoder has places for.
    """

    def __init__(
        self,
        model: Pointing,
        tokenizer: Tokenizer,
        *,
        max_tokens: int = SOURCE_TOKENS,
        max_answer_tokens: int = 64,
        batch: int = _BATCH,
    ) -> None:
        if max_answer_tokens > MAX_WRITTEN_TOKENS:
            raise ConfigError(
                f"max_answer_tokens {max_answer_tokens}", accepted=f"at most {MAX_WRITTEN_TOKENS}"
            )
        self._model, self._tokenizer, self._windower = model, tokenizer, Windower.of(tokenizer)
        self._inner = inner_pieces(tokenizer)
        self._max_tokens, self._max_answer_tokens, self._batch = max_tokens, max_answer_tokens, batch

    def write(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]], heard: Heard | None = None
    ) -> list[Draft]:
        """One draft for each question, see ``Writer``; an empty one where there is no passage."""
        packed = [self._packed(question, mine) for question, mine in zip(questions, passages, strict=True)]
        found = self._drafts(packed, ANSWER, heard if len(packed) == 1 else None)
        return [drafts[0] for drafts in found]

    def ask(
        self, passages: Sequence[Passage], answers: Sequence[Span], *, search: BeamSearch = QUESTION_SEARCH
    ) -> list[list[Draft]]:
        """For each passage the questions that the answer at a span of its text answers, the best first.

        There is one, and it is empty, where the answer is none (white space) or longer than a window.
        """
        texts = [passage.text[span.start : span.end] for passage, span in zip(passages, answers, strict=True)]
        titles = [passage.title for passage in passages]
        tokens = tokenize(self._tokenizer, [ASKING, *texts, *titles, *(p.text for p in passages)])
        count, prefix = len(passages), tokens[0].ids
        parts = (tokens[1 + part * count : 1 + (part + 1) * count] for part in range(3))
        packed = []
        for passage, span, answer, title, text in zip(passages, answers, *parts, strict=True):
            row = to_ask(self._windower, prefix, answer.ids, title.ids, text, span.start, span.end)
            packed.append(_Packed(() if row is None else (row,), [(passage, text)], 0, is_cut=False))
        return self._drafts(packed, ASK, search=search)

    def _packed(self, question: str, passages: Sequence[Passage]) -> _Packed:
        """As many passages as find room, best first; the first loses its last windows if it must."""
        tokens = tokenize(
            self._tokenizer, [question, *(p.title for p in passages), *(p.text for p in passages)]
        )
        titles, texts = tokens[1 : 1 + len(passages)], tokens[1 + len(passages) :]
        sources: list[Source] = []
        read: list[tuple[Passage, TokenText]] = []
        is_cut = False
        for rank, (passage, title, text) in enumerate(zip(passages, titles, texts, strict=True)):
            rows = list(to_answer(self._windower, tokens[0].ids, title.ids, text.ids, rank))
            room = self._max_tokens - _size(sources)
            if not read and _size(rows) > room:
                rows, is_cut = list(_fitting(rows, room)), True
                passage = _up_to(passage, text, rows)
            if _size(rows) <= room and rows:
                sources += rows
                read.append((passage, text))
        return _Packed(tuple(sources), read, len(passages) - len(read), is_cut and bool(read))

    def _drafts(
        self, packed: Sequence[_Packed], task: int, heard: Heard | None = None, search: BeamSearch = GREEDILY
    ) -> list[list[Draft]]:
        """Written in batches of like length, given in the order asked; those of a question the best first."""
        found = {
            row: [Draft("", 0.0, (), one.left_out, is_cut=False)]
            for row, one in enumerate(packed)
            if not one.sources
        }
        order = sorted(
            (row for row, one in enumerate(packed) if one.sources), key=lambda row: _size(packed[row].sources)
        )
        for at in range(0, len(order), self._batch):
            rows = order[at : at + self._batch]
            sources = pad_sources([packed[row].sources for row in rows], self._windower)
            live = None if heard is None else Surface(packed[rows[0]].read, self._tokenizer, heard)
            written = self._model.write(
                sources,
                [task] * len(rows),
                end=self._windower.sep_id,
                max_tokens=self._max_answer_tokens,
                inner=self._inner,
                search=search,
                heard=None if live is None else live.add,
            )
            for row, texts in zip(rows, written, strict=True):
                mine = packed[row]
                passages = tuple(passage for passage, _ in mine.read)
                found[row] = [
                    Draft(
                        surface(one.ids, one.copied, mine.read, self._tokenizer)
                        if live is None
                        else live.end(),
                        one.log_probability,
                        passages,
                        mine.left_out,
                        mine.is_cut,
                    )
                    for one in texts
                ]
        return [found[row] for row in range(len(packed))]


def _size(sources: Sequence[Source]) -> int:
    return sum(len(source.window.ids) for source in sources)


def _fitting(rows: Sequence[Source], room: int) -> Iterator[Source]:
    """The first rows that fit into ``room`` tokens together."""
    for row in rows:
        room -= len(row.window.ids)
        if room < 0:
            return
        yield row


def _up_to(passage: Passage, text: TokenText, rows: Sequence[Source]) -> Passage:
    """``passage`` as far as ``rows`` hold it."""
    if not rows:
        return passage
    last = rows[-1].window
    end = int(text.offsets[last.first + last.length - 1, 1])
    return replace(passage, text=passage.text[:end], end=passage.start + end)


def open_writer(
    folder: Path,
    *,
    device: str = "cpu",
    precision: str = "f32",
    recipe: Recipe | None = None,
    max_tokens: int | None = None,
    max_answer_tokens: int = 64,
    batch: int = _BATCH,
    sampling: Sampling = GREEDY,
) -> Writer:
    """The writer of the model in ``folder``.

    Args:
        precision: f32 or bf16.
        recipe: of a language model; the pointer follows none.
        max_tokens: for question and passages; None takes that of the kind.
        sampling: how a language model chooses tokens; the pointer takes the likeliest.

    Raises:
        ConfigError: the kind cannot choose tokens so, or follows no prompt.
        ModelError: no such model, or what it stands on is gone.
    """
    recipe = recipe or Recipe()
    if is_pointer(folder):
        refuse_sampling(sampling)
        _refuse_recipe(folder, recipe)
        max_tokens = SOURCE_TOKENS if max_tokens is None else max_tokens
        options: dict[str, Any] = {
            "max_tokens": max_tokens,
            "max_answer_tokens": max_answer_tokens,
            "batch": batch,
        }
        if device == "cpu" and find_spec("openvino"):
            return _served(folder, precision, options)
        return open_pointer(folder, device=device, dtype=_torch_type(precision), **options)
    from ragqa.models.generator import load_generator, load_writer_tokenizer
    from ragqa.models.loading import quieten

    quieten()
    return PromptedWriter(
        load_generator(folder).to(device, _torch_type(precision)),
        load_writer_tokenizer(folder),
        recipe=recipe,
        max_tokens=PROMPT_TOKENS + recipe.more_tokens if max_tokens is None else max_tokens,
        max_answer_tokens=max_answer_tokens,
        sampling=sampling,
    )


def _refuse_recipe(folder: Path, recipe: Recipe) -> None:
    if not recipe.is_plain:
        raise ConfigError(
            f"the generator in {folder} follows no prompt, takes no examples and no schema",
            accepted="reader.model: the folder of a language model, such as T5, Llama or Qwen",
        )


def _served(folder: Path, precision: str, options: dict[str, Any]) -> "PointerWriter":
    """The writer with a pointer as it is served on a CPU."""
    from ragqa.runtimes.pointer import PointerRuntime

    tokenizer = load_tokenizer(pretrained.backbone_of(folder))
    return PointerWriter(PointerRuntime(folder, precision=precision), tokenizer, **options)


def open_pointer(
    folder: Path, *, device: str = "cpu", dtype: "torch.dtype | None" = None, **options: Any
) -> PointerWriter:
    """The writer with a pointer whose model is in ``folder``, as it trains and as a GPU runs it.

    ``options`` are those of the class.
    """
    from ragqa.models.loading import quieten
    from ragqa.models.pointer import PointerModel

    quieten()
    model = PointerModel.load(folder).to(device, dtype)
    return PointerWriter(model, load_tokenizer(pretrained.backbone_of(folder)), **options)


def is_pointer(folder: Path) -> bool:
    """Whether ``folder`` holds an encoder–decoder of ours."""
    return pretrained.stored_config(folder).get("kind") == POINTER


def _torch_type(precision: str) -> "torch.dtype":
    import torch

    return {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
