"""A few vectors in front of the input train, nothing of the encoder (Lester et al. 2021, arXiv:2104.08691)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ragqa.errors import TrainingError
from ragqa.protocols import Tunable


class PromptedEncoder(nn.Module):
    """The encoder with ``prompt`` (P, D) before the embeddings of its input; its output is that of the input alone.

    As in peft, whose format ``export`` writes, a prompted encoder sees one segment: token types are not passed on.
    """

    def __init__(self, encoder: Any, size: int) -> None:
        super().__init__()
        self.encoder, self.size = encoder, size
        table = encoder.get_input_embeddings().weight.detach()
        # Real words are a better start than noise (section 3.2 of the paper).
        rows = torch.linspace(0, len(table) - 1, size, dtype=torch.float64).long()
        self.prompt = nn.Parameter(table[rows].float().clone())

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SimpleNamespace:
        words = self.encoder.get_input_embeddings()(input_ids)
        prompt = self.prompt.to(words.dtype).unsqueeze(0).expand(words.shape[0], -1, -1)
        seen = attention_mask[:, :1].expand(-1, self.size)  # [CLS] is never masked: neither is the prompt
        hidden = self.encoder(
            inputs_embeds=torch.cat([prompt, words], 1), attention_mask=torch.cat([seen, attention_mask], 1)
        ).last_hidden_state
        return SimpleNamespace(last_hidden_state=hidden[:, self.size :])


class PromptTuning:
    """``size`` vectors in front of every input, which leaves that many tokens less for the input itself."""

    rate = 40.0
    folds = False

    def __init__(self, *, size: int = 20) -> None:
        if not 1 <= size <= 100:
            raise TrainingError(f"tuning prompt: size {size}", accepted="1 to 100 vectors")
        self._size = size

    def apply(self, model: Tunable) -> None:
        """Put the vectors in front of a frozen encoder."""
        model.encoder.requires_grad_(False)
        model.encoder = PromptedEncoder(model.encoder, self._size)

    def merge(self, model: Tunable) -> None:
        """The vectors are input: there is no weight to add them to."""

    def export(self, model: Tunable, folder: Path) -> None:
        """Write the vectors in peft's own format, for ``PeftModel.from_pretrained``."""
        from peft import PromptTuningConfig, TaskType, get_peft_model

        prompted: Any = model.encoder
        config = PromptTuningConfig(task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=prompted.size)
        wrapped: Any = get_peft_model(prompted.encoder, config)
        with torch.no_grad():
            wrapped.prompt_encoder["default"].embedding.weight.copy_(prompted.prompt)
        wrapped.save_pretrained(str(folder))
