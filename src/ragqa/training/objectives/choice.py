"""Which option is right: cross-entropy over the options of a question, each read with the passage, if there is one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.choices import option_windows, token_ids
from ragqa.models.choice import ChoiceModel
from ragqa.training.objectives.texts import Texts
from ragqa.types import Example, Query
from ragqa.windows import Ints, Window, Windower, pad

Floats = npt.NDArray[np.float32]

_WITH_OTHERS = 0.5
"""How often a question that has a lesson comes up with options of other questions."""

_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """The options of a question, its own first, and what teachers say of each.

    ``scores`` (O,) are means over the teachers, each a log-probability among the question's own options; of other
    options they tell how these would stand among them, and may be above 0.
    """

    options: tuple[str, ...]
    scores: Floats


@dataclass(frozen=True, slots=True)
class ChoiceGroup:
    """The windows of each option of a question, which option is right, and what teachers say of each, (O,), if any."""

    examples: tuple[Example]
    options: tuple[tuple[Window, ...], ...]
    right: int
    taught: Floats | None = None

    @property
    def length(self) -> int:
        return max(len(w.ids) for option in self.options for w in option)

    @property
    def rows(self) -> int:
        return sum(map(len, self.options))


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """Inputs are (N, L); ``option`` (N,) is the option of each row, counted over the batch.

    ``question`` (O,) is the question of each option, ``right`` (O,) whether it is the right one, ``taught`` (O,) what
    the teachers say of it, NaN where they say nothing.
    """

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    option: Tensor
    question: Tensor
    right: Tensor
    taught: Tensor


class OptionsObjective(ABC):
    """What is the same however options are laid out: their tokens, and the loss of their scores.

    Args:
        smoothing: probability that is taken from the right option and spread over all (Szegedy et al. 2016).
        lessons: what teachers say of a question's options and of others, for questions without a passage; half of
            the time, at random, its wrong options are drawn from all of them.
        teacher_share: of the teachers in the loss of a question that has a lesson.
    """

    by_group: bool

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        smoothing: float = 0.0,
        max_window_tokens: int = 384,
        lessons: Mapping[Query, Lesson] | None = None,
        teacher_share: float = 0.7,
    ) -> None:
        self.tokenizer, self.smoothing = tokenizer, smoothing
        self.lessons, self.teacher_share = lessons or {}, teacher_share
        self.windower = Windower.of(tokenizer, max_window_tokens)
        self._known: Texts[Ints] = Texts(partial(token_ids, tokenizer))

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once."""
        self._known.add(
            text
            for e in examples
            for text in (e.query.text, *e.query.choices, *(p.titled_text for p in e.positives[:1]))
        )

    @abstractmethod
    def group(self, example: Example, rng: np.random.Generator) -> Any:
        """What is computed together, with its ``examples`` and the number of its ``rows``; None for nothing."""

    @abstractmethod
    def collate(self, groups: Sequence[Any]) -> Any:
        """A batch, with ``question``, ``right`` and ``taught`` of each option."""

    @abstractmethod
    def scores(self, model: ChoiceModel, batch: Any) -> Tensor:
        """One score for each option of a batch, (O,)."""

    def loss(self, model: ChoiceModel, batch: Any) -> Tensor:
        """Mean over the questions of ``batch``: cross-entropy, mixed with what the teachers say."""
        scores = self.scores(model, batch)
        return choice_loss(
            scores, batch.question, batch.right, self.smoothing, batch.taught, self.teacher_share
        )


class ChoiceObjective(OptionsObjective):
    """A group is a question, each of whose options is read with the passage."""

    by_group = True

    def group(self, example: Example, rng: np.random.Generator) -> ChoiceGroup | None:
        """The group of one question, or None where no option is known to be right."""
        if example.choice is None:
            return None
        text = example.positives[0].titled_text if example.positives else ""
        options, right, taught = drawn_options(example, self.lessons, rng)
        windows = tuple(
            tuple(
                option_windows(
                    self.windower,
                    self._known[example.query.text],
                    self._known[option],
                    self._known[text] if text else np.zeros(0, dtype=np.int64),
                )
            )
            for option in options
        )
        return ChoiceGroup((example,), windows, right, taught)

    def collate(self, groups: Sequence[ChoiceGroup]) -> ChoiceBatch:
        """Pad the windows of ``groups`` into one batch."""
        options = [(number, option) for number, g in enumerate(groups) for option in g.options]
        windows = [w for _, option in options for w in option]
        ids, mask, kinds, _ = pad(windows, self.windower)
        owner = np.repeat(np.arange(len(options)), [len(option) for _, option in options])
        question = np.array([number for number, _ in options])
        right = np.array([place == g.right for g in groups for place in range(len(g.options))])
        taught = taught_of([(len(g.options), g.taught) for g in groups])
        return ChoiceBatch(*map(torch.from_numpy, (ids, mask, kinds, owner, question, right, taught)))

    def scores(self, model: ChoiceModel, batch: ChoiceBatch) -> Tensor:
        """One score for each option, (O,): that of its best window."""
        (rows,) = model(batch.ids, batch.mask, batch.kinds)
        return best_rows(rows, batch.option, len(batch.question))


def drawn_options(
    example: Example, lessons: Mapping[Query, Lesson], rng: np.random.Generator
) -> tuple[tuple[str, ...], int, Floats | None]:
    """The options that a question comes up with this time, which is right, and what teachers say of each, if any."""
    options, right = example.query.choices, int(example.choice or 0)
    lesson = None if example.positives else lessons.get(example.query)
    if lesson is None:
        return options, right, None
    places = np.arange(len(options))
    if rng.random() < _WITH_OTHERS:
        wrong = [n for n, option in enumerate(lesson.options) if option != options[right]]
        places = np.array([right, *rng.permutation(wrong)[: len(options) - 1]])
        right = 0
    return tuple(lesson.options[n] for n in places), right, lesson.scores[places]


def taught_of(lessons: Sequence[tuple[int, Floats | None]]) -> Floats:
    """What teachers say of the options of a batch, (O,): of each so many options, NaN where they say nothing."""
    return np.concatenate(
        [np.full(size, np.nan, dtype=np.float32) if said is None else said for size, said in lessons]
    )


def best_rows(rows: Tensor, option: Tensor, options: int) -> Tensor:
    """(N,) scores of rows and the option of each, (N,) → the greatest of each option, (O,)."""
    return torch.full((options,), -1e30).scatter_reduce(0, option, rows, "amax")


def choice_loss(
    scores: Tensor,
    question: Tensor,
    right: Tensor,
    smoothing: float,
    taught: Tensor | None = None,
    teacher_share: float = 0.0,
) -> Tensor:
    """Mean over questions of −Σ_o t_o log P(o), with t = (1 − ε) · right + ε / (number of options).

    Where teachers say something of a question, (1 − α) times that, and α · T² · KL(softmax(taught / T) ‖
    softmax(scores / T)), with α = ``teacher_share`` and T = 2 (Hinton et al. 2015, section 2).

    All are (O,); the options of a question stand together; ``taught`` is NaN where nothing is said.
    """
    sizes = torch.bincount(question).tolist()
    told = torch.full_like(scores, torch.nan) if taught is None else taught
    losses = []
    for mine, gold, lesson in zip(
        *(torch.split(values, sizes) for values in (scores, right, told)), strict=True
    ):
        loss = torch.nn.functional.cross_entropy(mine, gold.float().argmax(), label_smoothing=smoothing)
        if not lesson.isnan().any():
            learned, said = (torch.log_softmax(values / _TEMPERATURE, 0) for values in (mine, lesson))
            distance = torch.nn.functional.kl_div(learned, said, reduction="sum", log_target=True)
            loss = (1 - teacher_share) * loss + teacher_share * _TEMPERATURE**2 * distance
        losses.append(loss)
    return torch.stack(losses).mean()
