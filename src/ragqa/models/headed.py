"""A model for one task: an encoder and one linear layer, stored as what training changed of a backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ragqa import checkpoints, pretrained
from ragqa.errors import ModelError
from ragqa.models import attention
from ragqa.models.loading import apply_stored, load_transformer, overlay, takes_segments
from ragqa.protocols import ENCODES, Tuning

LAYERS = "layers"
"""In ``config.json``: how many layers of the backbone the model has, where not all."""


class Headed(nn.Module):
    """``kind`` names the task in ``config.json``; the head gives ``outputs`` numbers for a position."""

    kind: ClassVar[str]
    outputs: ClassVar[int]
    peft_task = ENCODES

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.segmented = takes_segments(encoder)
        self.head = self.fresh_head(hidden)

    def fresh_head(self, hidden: int) -> Any:
        """What stands on the encoder, before it is trained."""
        head = nn.Linear(hidden, self.outputs)
        nn.init.normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
        return head

    @classmethod
    def from_backbone(cls, folder: Path, dropout: float) -> Self:
        """The pretrained encoder in ``folder`` with a fresh head."""
        encoder = load_transformer(folder, attention=attention.register(), dropout=dropout)
        return cls(encoder, int(encoder.config.hidden_size))

    def keep_layers(self, count: int) -> tuple[int, ...]:
        """Keep ``count`` layers of the encoder, evenly spread, the last among them, and return their former numbers.

        A model that begins so is faster by what it dropped, and training makes up for most of it (Sajjad et al. 2023,
        arXiv:2004.03844).

        Raises:
            ModelError: the encoder has fewer layers, or keeps them in another way.
        """
        layers = next((m for m in self.encoder.modules() if isinstance(m, nn.ModuleList)), nn.ModuleList())
        if not 1 <= count <= len(layers):
            raise ModelError(
                f"{count} layers were asked for", accepted=f"1 to {len(layers)}, what the encoder has"
            )
        kept = tuple((place + 1) * len(layers) // count - 1 for place in range(count))
        for number in sorted(set(range(len(layers))).difference(kept), reverse=True):
            del layers[number]
        self.encoder.config.num_hidden_layers = count
        return kept

    def hidden(self, ids: Tensor, mask: Tensor, kinds: Tensor, **named: Any) -> Tensor:
        """The encoder's last layer, (N, L, D); what is ``named`` is passed on to it."""
        segments = {"token_type_ids": kinds} if self.segmented else {}
        found: Tensor = self.encoder(
            input_ids=ids, attention_mask=mask, **segments, **named
        ).last_hidden_state
        return found

    @classmethod
    def shape_of(cls, folder: Path) -> dict[str, Any]:
        """What else ``from_backbone`` needs to know of the model in ``folder``."""
        return {}

    @classmethod
    def beneath(cls, folder: Path) -> Self:
        """What the model in ``folder`` adds to: its backbone, with the weights of the base that it names."""
        model = cls.from_backbone(pretrained.backbone_of(folder), dropout=0.0, **cls.shape_of(folder))
        base = pretrained.base_of(folder)
        layers = pretrained.stored_config(base or folder).get(LAYERS)
        if layers is not None:
            model.keep_layers(int(layers))
        if base is not None:
            overlay(model, cls.tensors_of(base), base)
        return model

    @classmethod
    def stored(cls, folder: Path) -> tuple[Self, Tuning]:
        """The model in ``folder`` with what its tuning added still standing beside the weights."""
        model = cls.beneath(folder)
        return model, apply_stored(model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model in ``folder``, float32, for evaluation.

        Raises:
            ModelError: the folder names no backbone that is present.
        """
        model, tuning = cls.stored(folder)
        tuning.merge(model)
        return model.eval()

    @classmethod
    def tensors_of(cls, folder: Path) -> Mapping[str, Tensor]:
        """The trained tensors in ``folder``; of a model for another task those of its encoder alone."""
        tensors = checkpoints.load(folder)
        if pretrained.stored_config(folder).get("kind") == cls.kind:
            return tensors
        return {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
