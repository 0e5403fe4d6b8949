"""Weights trained by this project: each folder holds safetensors, ``config.json`` and a model card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragqa import backbone
from ragqa.calibration import Calibration
from ragqa.errors import ModelError


@dataclass(frozen=True, slots=True)
class ReaderCalibration:
    """What was fitted on held-out questions: the weight of the retrieval score, and both calibrations."""

    retrieval_weight: float
    span: Calibration
    lexical: Calibration


def reader_folder(model: str) -> Path:
    """The folder of a reader: "builtin" or a folder written by ``ragqa finetune reader``.

    Raises:
        ModelError: there is no reader in that folder.
    """
    folder = Path(__file__).parent / "reader" if model == "builtin" else Path(model)
    if not (folder / "model.safetensors").is_file():
        raise ModelError(
            f"{folder} holds no reader (model.safetensors)",
            accepted="builtin, or a folder written by `ragqa finetune reader`",
            next_step="ragqa doctor",
        )
    return folder


def backbone_of(folder: Path) -> Path:
    """The folder of the encoder that the reader in ``folder`` was trained from."""
    return backbone.resolve(str(_json(folder / "config.json")["backbone"]))


def read_calibration(folder: Path) -> ReaderCalibration:
    """The calibration beside the weights in ``folder``."""
    stored = _json(folder / "calibration.json")
    return ReaderCalibration(
        float(stored["retrieval_weight"]), Calibration(**stored["span"]), Calibration(**stored["lexical"])
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ModelError(
            f"{path} cannot be read: {fault}", next_step="train or install the model again"
        ) from fault
    return values
