"""Serve a model from torch: on a GPU, and on CPUs that OpenVINO does not serve."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import torch

from ragqa.devices import choose_device, choose_precision
from ragqa.errors import ConfigError
from ragqa.protocols import Rows, Scores
from ragqa.runtimes import networks


class TorchRuntime:
    """The network itself; ``run`` may be called from many threads, one batch computes at a time."""

    batch_tokens = 4096
    """With 8 rows of 512 the activations of a small encoder stay under 30 MB."""

    def __init__(self, kind: str, source: Path, *, precision: str = "auto", device: str = "auto") -> None:
        self._device = torch.device(choose_device(device))
        self.precision = choose_precision(precision, self._device.type)
        if self.precision == "int8":
            raise ConfigError("precision: int8 needs OpenVINO", accepted="auto, bf16, f32")
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        self._network = networks.build(kind, source).to(self._device, dtype)
        self._computing = Lock()

    @torch.inference_mode()
    def run(self, batches: Sequence[tuple[Rows, Rows, Rows]]) -> list[list[Scores]]:
        """The outputs of each batch, in order."""
        return [self._infer(batch) for batch in batches]

    def _infer(self, batch: tuple[Rows, Rows, Rows]) -> list[Scores]:
        with self._computing:
            outputs = self._network(*(torch.from_numpy(part).to(self._device) for part in batch))
        return [output.float().cpu().numpy() for output in outputs]
