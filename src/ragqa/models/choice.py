"""Choice model: one score for an option, read with its question and a passage; the greatest of a question wins."""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ragqa import pretrained
from ragqa.choices import PASSAGE_AT, PASSAGE_ONCE
from ragqa.models import attention
from ragqa.models.loading import load_transformer
from ragqa.models.pair import PairModel
from ragqa.models.shared_passage import SharedPassages, first_states, parts


class ChoiceModel(PairModel):
    """The network of the pair model; what stands in its rows differs (``ragqa.choices``).

    Args:
        passage_once: question and option attend to themselves and to the passage, the passage to itself alone; it
            begins at the same position, whatever stands before it. ``SharedPassages`` have it computed once.

    Raises:
        ModelError: the encoder cannot read a passage once.
    """

    kind: ClassVar[str] = "choice"

    def __init__(self, encoder: Any, hidden: int, passage_once: bool = False) -> None:
        super().__init__(encoder, hidden)
        self.read_passages(once=passage_once)

    @classmethod
    def from_backbone(cls, folder: Path, dropout: float, passage_once: bool = False) -> Self:
        """The pretrained encoder in ``folder`` with a fresh head."""
        encoder = load_transformer(folder, attention=attention.register(), dropout=dropout)
        return cls(encoder, int(encoder.config.hidden_size), passage_once)

    def read_passages(self, *, once: bool) -> None:
        """Apart from the question, or together with it.

        Raises:
            ModelError: the encoder cannot read a passage once.
        """
        if once:
            parts(self.encoder)
        self.passage_once = once

    @classmethod
    def shape_of(cls, folder: Path) -> dict[str, Any]:
        """How the model in ``folder`` reads passages."""
        return {PASSAGE_ONCE: bool(pretrained.stored_config(folder).get(PASSAGE_ONCE, False))}

    def forward(
        self, ids: Tensor | SharedPassages, mask: Tensor | None = None, kinds: Tensor | None = None
    ) -> tuple[Tensor]:
        """See ``PairModel``; or scores (S,) of segments, for which each passage is computed once."""
        if isinstance(ids, SharedPassages):
            states = first_states(self.encoder, ids)
        elif mask is None or kinds is None:
            raise ValueError("ids (N, L) come with their mask and token types")
        elif not self.passage_once:
            return super().forward(ids, mask, kinds)
        else:
            passage = kinds.bool()
            places = torch.where(passage, PASSAGE_AT - 1 + kinds.cumsum(1), (1 - kinds).cumsum(1) - 1)
            visible = mask.bool()[:, None, None] & (passage[:, None, None] | ~passage[:, None, :, None])
            states = self.hidden(ids, visible, kinds, position_ids=places * mask, **self._named)[:, 0]
        return (self.head(states).float().squeeze(-1),)
