"""Only biases (and the head) train: a thousandth of the weights (Ben Zaken et al. 2021, arXiv:2106.10199)."""

from pathlib import Path

from ragqa.errors import TrainingError
from ragqa.protocols import Tunable


class BitfitTuning:
    """Trains what is named ``bias`` in the encoder, those of the norms included."""

    rate = 6.0
    """Times the learning rate of full tuning: a bias moves a whole layer's output, but only by its own size."""

    added_tokens = 0
    folds = True

    def apply(self, model: Tunable) -> None:
        """Freeze the encoder but its biases.

        Raises:
            TrainingError: it has none.
        """
        biases = [p for name, p in model.encoder.named_parameters() if name.endswith("bias")]
        if not biases:
            raise TrainingError(
                "tuning bitfit: this encoder has no biases", accepted="full, lora, adapter, prompt"
            )
        model.encoder.requires_grad_(False)
        for bias in biases:
            bias.requires_grad_(True)

    def merge(self, model: Tunable) -> None:
        """Biases are weights of the encoder already."""

    def export(self, model: Tunable, folder: Path) -> None:
        """No other tool has a format for biases alone."""
