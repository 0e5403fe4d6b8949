"""Writing with a pointer: the negative log-likelihood of an answer's tokens, or of a question's, under the mixture.

A group is one question with one to ``passages`` passages, of which one answers, or none, so that the model learns to
say so; or, the other way round, one answer in its passage, for which the question is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa.models.generator import IGNORED
from ragqa.models.pointer import PointerModel
from ragqa.prompting import NOT_HERE, language_of
from ragqa.sources import ANSWER, ASK, ASKING, Source, pad_sources, to_answer, to_ask
from ragqa.training.objectives.texts import Texts, texts_of
from ragqa.types import Example, Passage
from ragqa.windows import Ints, Windower, tokenize


@dataclass(frozen=True, slots=True)
class PointingGroup:
    """The rows of one question, what shall be written, and which task it is."""

    sources: tuple[Source, ...]
    written: Ints
    task: int

    @property
    def length(self) -> int:
        return max(len(source.window.ids) for source in self.sources)

    @property
    def rows(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class PointingBatch:
    """The arguments of ``models.pointer.PointerModel.forward``, in its order."""

    ids: Tensor
    mask: Tensor
    kinds: Tensor
    copyable: Tensor
    slots: Tensor
    places: int
    labels: Tensor
    tasks: Tensor
    rows: Tensor
    columns: Tensor


@dataclass(frozen=True, slots=True)
class _Kept:
    """The rows of an example's own passage, and its group of the other task; the example itself, so that it lives."""

    example: Example
    answering: list[Source]
    asking: PointingGroup | None


class PointingObjective:
    """Makes groups from examples, batches from groups, and the loss of a batch.

    Args:
        passages: at most so many in a group, how many is drawn: one that answers, the others mined.
        unanswerable_share: of the answering groups that hold only passages that do not answer.
        question_share: of the groups that write the question.
    """

    by_group = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        passages: int = 3,
        unanswerable_share: float = 0.1,
        question_share: float = 0.4,
        max_answer_tokens: int = 64,
    ) -> None:
        self.tokenizer, self.windower = tokenizer, Windower.of(tokenizer)
        self.passages, self.unanswerable_share = passages, unanswerable_share
        self.question_share, self.max_answer_tokens = question_share, max_answer_tokens
        self._texts = Texts(partial(tokenize, tokenizer))
        self._known: dict[int, _Kept] = {}

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise every text of ``examples`` once."""
        answers = {e.answers[0] for e in examples if e.answers}
        self._texts.add({*texts_of(examples), *answers, *NOT_HERE.values(), ASKING})

    def group(self, example: Example, rng: np.random.Generator) -> PointingGroup | None:
        """One training group, or None when nothing of the example can be learned from."""
        asks, refuses, share = rng.random(3).tolist()
        if asks < self.question_share and example.spans:
            return self._kept(example).asking
        negatives = example.hard_negatives
        answerable = bool(example.answers and example.positives)
        if not example.answer_known or (not negatives and not answerable):
            return None
        refused = bool(negatives) and (not answerable or refuses < self.unanswerable_share)
        count = 1 + int(share * self.passages)
        shown = [] if refused else [self._kept(example).answering]
        if len(shown) < count and negatives:
            others = rng.permutation(len(negatives))[: count - len(shown)].tolist()
            shown += [self._answering(example, negatives[i]) for i in others]
        if len(shown) > 1:
            shown = [shown[i] for i in rng.permutation(len(shown)).tolist()]
        said = NOT_HERE[language_of(example.query.text)] if refused else example.answers[0]
        return self._group([row for passage in shown for row in passage], self._texts[said].ids, ANSWER)

    def _kept(self, example: Example) -> _Kept:
        """What is the same each time that ``example`` is drawn."""
        known = self._known.get(id(example))
        if known is None or known.example is not example:
            answering = self._answering(example, example.positives[0])
            known = _Kept(example, answering, self._asking(example) if self.question_share else None)
            self._known[id(example)] = known
        return known

    def _answering(self, example: Example, passage: Passage) -> list[Source]:
        texts = self._texts
        question, title, text = texts[example.query.text], texts[passage.title], texts[passage.text]
        return list(to_answer(self.windower, question.ids, title.ids, text.ids))

    def _asking(self, example: Example) -> PointingGroup | None:
        if not example.spans:
            return None
        texts, passage, span = self._texts, example.positives[0], example.spans[0]
        source = to_ask(
            self.windower,
            texts[ASKING].ids,
            texts[example.answers[0]].ids,
            texts[passage.title].ids,
            texts[passage.text],
            span.start,
            span.end,
        )
        return None if source is None else self._group([source], texts[example.query.text].ids, ASK)

    def _group(self, sources: Sequence[Source], written: Ints, task: int) -> PointingGroup | None:
        if not 0 < len(written) < self.max_answer_tokens:
            return None
        return PointingGroup(tuple(sources), np.append(written, self.windower.sep_id), task)

    def collate(self, groups: Sequence[PointingGroup]) -> PointingBatch:
        """Pad the rows of ``groups`` and what they shall write."""
        padded = pad_sources([group.sources for group in groups], self.windower)
        labels = np.full((len(groups), max(len(g.written) for g in groups)), IGNORED, dtype=np.int64)
        for row, group in enumerate(groups):
            labels[row, : len(group.written)] = group.written
        tasks = np.array([group.task for group in groups])
        # Found here, not by the model: on a GPU it would have to wait for them.
        rows, columns = np.nonzero(labels != IGNORED)
        arrays = (padded.ids, padded.mask, padded.kinds, padded.copyable, padded.slots)
        ids, mask, kinds, copyable, slots = map(torch.from_numpy, arrays)
        written = map(torch.from_numpy, (labels, tasks, rows, columns))
        return PointingBatch(ids, mask, kinds, copyable, slots, padded.places, *written)

    def loss(self, model: PointerModel, batch: PointingBatch) -> Tensor:
        """Mean loss over the groups of ``batch``."""
        found: Tensor = model(*(getattr(batch, field.name) for field in fields(batch))).mean()
        return found
