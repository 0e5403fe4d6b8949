"""Which option is right: cross-entropy over the options of a question, each read with the passage, if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.choices import option_windows, token_ids
from ragqa.models.choice import ChoiceModel
from ragqa.types import Example
from ragqa.windows import Ints, Window, Windower, pad


@dataclass(frozen=True, slots=True)
class ChoiceGroup:
    """The windows of each option of a question, and which option is right."""

    options: tuple[tuple[Window, ...], ...]
    right: int

    @property
    def length(self) -> int:
        return max(len(w.ids) for option in self.options for w in option)


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """Inputs are (N, L); ``option`` (N,) is the option of each row, counted over the batch.

    ``question`` (O,) is the question of each option, ``right`` (O,) whether it is the right one.
    """

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    option: Tensor
    question: Tensor
    right: Tensor


class ChoiceObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        smoothing: probability that is taken from the right option and spread over all (Szegedy et al. 2016).
    """

    def __init__(self, tokenizer: Tokenizer, *, smoothing: float = 0.0, max_window_tokens: int = 384) -> None:
        self.tokenizer, self.smoothing = tokenizer, smoothing
        self.windower = Windower.of(tokenizer, max_window_tokens)
        self._known: dict[str, Ints] = {}

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once."""
        texts = {
            text
            for e in examples
            for text in (e.query.text, *e.query.choices, *(p.titled_text for p in e.positives[:1]))
        }
        missing = sorted(texts - self._known.keys())
        self._known.update(zip(missing, token_ids(self.tokenizer, missing), strict=True))

    def group(self, example: Example, rng: np.random.Generator) -> ChoiceGroup | None:
        """The group of one question, or None where no option is known to be right."""
        if example.choice is None:
            return None
        text = example.positives[0].titled_text if example.positives else ""
        return ChoiceGroup(
            tuple(
                tuple(
                    option_windows(
                        self.windower,
                        self._known[example.query.text],
                        self._known[option],
                        self._known[text] if text else np.zeros(0, dtype=np.int64),
                    )
                )
                for option in example.query.choices
            ),
            example.choice,
        )

    def collate(self, groups: Sequence[ChoiceGroup]) -> ChoiceBatch:
        """Pad the windows of ``groups`` into one batch."""
        options = [(number, option) for number, g in enumerate(groups) for option in g.options]
        windows = [w for _, option in options for w in option]
        ids, mask, kinds, _ = pad(windows, self.windower)
        owner = np.repeat(np.arange(len(options)), [len(option) for _, option in options])
        question = np.array([number for number, _ in options])
        right = np.array([place == g.right for g in groups for place in range(len(g.options))])
        return ChoiceBatch(*map(torch.from_numpy, (ids, mask, kinds, owner, question, right)))

    def loss(self, model: ChoiceModel, batch: ChoiceBatch) -> Tensor:
        """Mean cross-entropy over the questions of ``batch``."""
        return choice_loss(self.scores(model, batch), batch.question, batch.right, self.smoothing)

    @staticmethod
    def scores(model: ChoiceModel, batch: ChoiceBatch) -> Tensor:
        """One score for each option, (O,): that of its best window."""
        (rows,) = model(batch.ids, batch.mask, batch.kinds)
        return torch.full((len(batch.question),), -1e30).scatter_reduce(0, batch.option, rows, "amax")

    def state(self) -> dict[str, Tensor]:
        """Nothing of this objective changes."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to take."""


def choice_loss(scores: Tensor, question: Tensor, right: Tensor, smoothing: float) -> Tensor:
    """Mean over questions of −Σ_o t_o log P(o), with t = (1 − ε) · right + ε / (number of options).

    ``scores``, ``question`` and ``right`` are (O,); the options of a question stand together.
    """
    sizes = torch.bincount(question).tolist()
    losses = []
    for mine, gold in zip(torch.split(scores, sizes), torch.split(right, sizes), strict=True):
        losses.append(
            torch.nn.functional.cross_entropy(mine, gold.float().argmax(), label_smoothing=smoothing)
        )
    return torch.stack(losses).mean()
