"""A small bottleneck after each sub-layer trains, the rest stays (Houlsby et al. 2019, arXiv:1902.00751)."""

from pathlib import Path

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ragqa.errors import TrainingError
from ragqa.protocols import Tunable

_OUTPUTS = (
    *("attention.output.dense", "output.dense"),  # BERT, RoBERTa
    *("attention.out_lin", "ffn.lin2"),  # DistilBERT
    *("attn.c_proj", "mlp.c_proj"),  # GPT-2
    *("attn.o_proj", "mlp.down_proj"),  # Llama, Mistral, Qwen, Gemma
    *("Attention.o", "DenseReluDense.wo"),  # T5
    *("attn.out_proj", "fc2"),  # BART, OPT
)
"""How families of models name the last projection of a sub-layer, before its residual."""


class Adapted(nn.Sequential):
    """A projection and the bottleneck behind it; T5 asks its projections for their weight."""

    @property
    def weight(self) -> Tensor:
        return self.get_parameter("0.weight")


class Bottleneck(nn.Module):
    """x + W_up · GELU(W_down · x); W_up begins at zero, so that training begins with the model as it was."""

    def __init__(self, hidden: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(hidden, size), nn.Linear(size, hidden)
        nn.init.normal_(self.down.weight, std=0.02)
        for part in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(part)

    def forward(self, hidden: Tensor) -> Tensor:
        added: Tensor = self.up(nn.functional.gelu(self.down(hidden)))
        return hidden + added


class AdapterTuning:
    """Puts two bottlenecks of ``size`` dimensions into each layer; they and the norms train."""

    rate = 6.0
    added_tokens = 0
    folds = False

    def __init__(self, *, size: int = 64) -> None:
        if not 1 <= size <= 4096:
            raise TrainingError(f"tuning adapter: size {size}", accepted="1 to 4096 dimensions")
        self._size = size

    def apply(self, model: Tunable) -> None:
        """Insert the bottlenecks.

        Raises:
            TrainingError: an encoder whose layers are named otherwise.
        """
        encoder = model.encoder
        places = [
            name
            for name, module in encoder.named_modules()
            if isinstance(module, nn.Linear | Conv1D) and name.endswith(_OUTPUTS)
        ]
        if not places:
            raise TrainingError(
                "tuning adapter: the layers of this encoder are not known",
                accepted="the families of BERT, RoBERTa, DistilBERT, GPT-2, Llama, Qwen, T5, BART",
                next_step="take lora or full",
            )
        encoder.requires_grad_(False)
        for name in places:
            parent, _, last = name.rpartition(".")
            owner = encoder.get_submodule(parent)
            projection = getattr(owner, last)
            hidden = projection.nf if isinstance(projection, Conv1D) else projection.out_features
            setattr(owner, last, Adapted(projection, Bottleneck(hidden, self._size)))
        for module in encoder.modules():
            if type(module).__name__.endswith("Norm"):  # LayerNorm, RMSNorm and what families call theirs
                module.requires_grad_(True)

    def merge(self, model: Tunable) -> None:
        """A bottleneck is not linear: it stays where it is."""

    def export(self, model: Tunable, folder: Path) -> None:
        """peft has no bottleneck adapters."""
