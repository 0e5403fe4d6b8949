"""Low-rank updates of the linear layers train, W + α/r · B·A (Hu et al. 2021, arXiv:2106.09685), through peft."""

from pathlib import Path

from ragqa.errors import TrainingError
from ragqa.protocols import Tunable


class LoraTuning:
    """Updates of rank ``rank`` on every linear layer of the encoder; merged into the weights for serving."""

    rate = 6.0
    added_tokens = 0
    folds = True

    def __init__(self, *, rank: int = 16, alpha: int = 32, dropout: float = 0.0) -> None:
        if rank < 1 or not 0 <= dropout < 1:
            raise TrainingError(
                f"tuning lora: rank {rank}, dropout {dropout}",
                accepted="rank from 1, dropout from 0 to below 1",
            )
        self._rank, self._alpha, self._dropout = rank, alpha, dropout

    def apply(self, model: Tunable) -> None:
        """Put the updates beside the layers; B begins at zero."""
        from peft import LoraConfig, get_peft_model
        from transformers.pytorch_utils import Conv1D

        config = LoraConfig(
            task_type=model.peft_task,
            r=self._rank,
            lora_alpha=self._alpha,
            lora_dropout=self._dropout,
            target_modules="all-linear",
            fan_in_fan_out=any(
                isinstance(m, Conv1D) for m in model.encoder.modules()
            ),  # as GPT-2 stores them
        )
        model.encoder = get_peft_model(model.encoder, config)

    def merge(self, model: Tunable) -> None:
        """Add the updates to the weights: the same outputs, nothing left to compute beside them."""
        model.encoder = model.encoder.merge_and_unload()

    def export(self, model: Tunable, folder: Path) -> None:
        """Write the updates in peft's own format, for ``PeftModel.from_pretrained``."""
        model.encoder.save_pretrained(folder)
