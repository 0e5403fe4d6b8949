"""Pair model: one score for a query and a passage that are read together (Nogueira and Cho 2019, arXiv:1901.04085)."""

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from ragqa import pretrained
from ragqa.errors import ModelError
from ragqa.models.headed import Headed
from ragqa.models.last_layer import narrowed
from ragqa.models.loading import load_transformer, takes_segments


class PairModel(Headed):
    """``forward`` takes ids, attention mask and token types, each (N, L), and returns scores (N,).

    They stand in a tuple of one, as the outputs of every network of the runtimes do. The head reads [CLS].
    """

    kind: ClassVar[str] = "pair"
    outputs: ClassVar[int] = 1

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__(encoder, hidden)
        self._named = narrowed(encoder)

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor]:
        return (self.head(self.hidden(ids, mask, kinds, **self._named)[:, 0]).float().squeeze(-1),)


class Classifier(nn.Module):
    """A cross-encoder of transformers with the inputs and outputs of ``PairModel``.

    With one label the score is its logit, with two the second's over the first's.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.segmented = takes_segments(network)
        self._named = narrowed(network)

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor]:
        named = {"token_type_ids": kinds, **self._named} if self.segmented else self._named
        logits = self.network(input_ids=ids, attention_mask=mask, **named).logits.float()
        return (logits[:, -1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0],)


def load_pair(folder: Path) -> nn.Module:
    """The reranker in ``folder``, float32, to serve: ours, or a cross-encoder as transformers saves it.

    Raises:
        ModelError: the folder names no backbone that is present, or the model has more than two labels.
    """
    if not pretrained.is_huggingface(folder):
        return PairModel.load(folder)
    network = load_transformer(
        folder, attention="eager", pooler=True, kind=AutoModelForSequenceClassification
    )
    if network.config.num_labels > 2:
        raise ModelError(
            f"{folder} tells {network.config.num_labels} classes apart",
            accepted="a cross-encoder with one score for a pair, or two classes",
        )
    return Classifier(network).eval()
