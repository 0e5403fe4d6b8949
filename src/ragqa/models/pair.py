"""Pair model: one score for a query and a passage that are read together (Nogueira and Cho 2019, arXiv:1901.04085)."""

from typing import ClassVar

from torch import Tensor

from ragqa.models.headed import Headed


class PairModel(Headed):
    """``forward`` takes ids, attention mask and token types, each (N, L), and returns scores (N,).

    They stand in a tuple of one, as the outputs of every network of the runtimes do. The head reads [CLS].
    """

    kind: ClassVar[str] = "pair"
    outputs: ClassVar[int] = 1

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor]:
        hidden = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        return (self.head(hidden[:, 0]).float().squeeze(-1),)
