"""Span model: a start and an end score for every token (Devlin et al. 2019, section 4.2)."""

from pathlib import Path
from typing import ClassVar

from torch import Tensor
from transformers import AutoModelForQuestionAnswering

from ragqa import pretrained
from ragqa.models.headed import Headed
from ragqa.models.loading import load_transformer


class SpanModel(Headed):
    """``forward`` takes ids, attention mask and token types, each (N, L), and returns start and end logits, (N, L).

    The logit at position 0 ([CLS]) scores "no answer in this window".
    """

    kind: ClassVar[str] = "span"
    outputs: ClassVar[int] = 2

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        start, end = self.head(self.hidden(ids, mask, kinds)).float().unbind(-1)
        return start, end


def load_span(folder: Path) -> SpanModel:
    """The reader in ``folder``, float32, for evaluation: ours (a backbone with the trained tensors laid over it)
    or a question-answering model as transformers saves it.

    Raises:
        ModelError: the folder names no backbone that is present.
    """
    return _from_huggingface(folder).eval() if pretrained.is_huggingface(folder) else SpanModel.load(folder)


def _from_huggingface(folder: Path) -> SpanModel:
    whole = load_transformer(folder, attention="sdpa", kind=AutoModelForQuestionAnswering, whole=True)
    model = SpanModel(whole.base_model, int(whole.config.hidden_size))
    model.head = whole.qa_outputs
    return model
