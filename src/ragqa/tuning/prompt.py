"""A few vectors in front of the input train, nothing of the encoder (Lester et al. 2021, arXiv:2104.08691)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ragqa.errors import TrainingError
from ragqa.protocols import ENCODES, Tunable


class PromptedEncoder(nn.Module):
    """The encoder with ``prompt`` (P, D) before the embeddings of its input; its output is that of the input alone.

    As in peft, whose format ``export`` writes, a prompted encoder sees one segment: token types are not passed on.
    """

    def __init__(self, encoder: Any, size: int) -> None:
        super().__init__()
        self.encoder, self.size = encoder, size
        self.prompt = nn.Parameter(word_rows(encoder, size))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SimpleNamespace:
        words = self.encoder.get_input_embeddings()(input_ids)
        prompt = self.prompt.to(words.dtype).unsqueeze(0).expand(words.shape[0], -1, -1)
        seen = attention_mask[:, :1].expand(-1, self.size)  # [CLS] is never masked: neither is the prompt
        hidden = self.encoder(
            inputs_embeds=torch.cat([prompt, words], 1), attention_mask=torch.cat([seen, attention_mask], 1)
        ).last_hidden_state
        return SimpleNamespace(last_hidden_state=hidden[:, self.size :])

    def get_input_embeddings(self) -> Any:
        """Those of the encoder, as transformers calls them."""
        return self.encoder.get_input_embeddings()


class PromptTuning:
    """``size`` vectors in front of every input, which leaves that many tokens less for the input itself."""

    rate = 40.0
    folds = False

    def __init__(self, *, size: int = 20) -> None:
        if not 1 <= size <= 100:
            raise TrainingError(f"tuning prompt: size {size}", accepted="1 to 100 vectors")
        self.added_tokens = size

    def apply(self, model: Tunable) -> None:
        """Put the vectors in front of a frozen encoder; before a language model peft puts them."""
        model.encoder.requires_grad_(False)
        if model.peft_task == ENCODES:
            model.encoder = PromptedEncoder(model.encoder, self.added_tokens)
        else:
            words = word_rows(model.encoder, self.added_tokens)
            model.encoder = prompted_by_peft(model.encoder, model.peft_task, words)

    def merge(self, model: Tunable) -> None:
        """The vectors are input: there is no weight to add them to."""

    def export(self, model: Tunable, folder: Path) -> None:
        """Write the vectors in peft's own format, for ``PeftModel.from_pretrained``."""
        prompted: Any = model.encoder
        if isinstance(prompted, PromptedEncoder):
            prompted = prompted_by_peft(prompted.encoder, model.peft_task, prompted.prompt)
        prompted.save_pretrained(str(folder))


def word_rows(network: Any, size: int) -> Tensor:
    """Vectors (P, D) of ``size`` words, from all over the vocabulary: a better start than noise (section 3.2)."""
    table = network.get_input_embeddings().weight.detach()
    rows = torch.linspace(0, len(table) - 1, size, dtype=torch.float64).long()
    return table[rows].float().clone()  # type: ignore[no-any-return]


def prompted_by_peft(network: Any, task: str, vectors: Tensor) -> Any:
    """``network`` as peft wraps it, with ``vectors`` (P, D) for its prompt."""
    from peft import PromptTuningConfig, get_peft_model

    config = PromptTuningConfig(task_type=task, num_virtual_tokens=len(vectors), num_transformer_submodules=1)
    wrapped: Any = get_peft_model(network, config)
    with torch.no_grad():
        wrapped.prompt_encoder["default"].embedding.weight.copy_(vectors)
    return wrapped
