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


NULL_MARGIN = Calibration({"null_margin": 1.0}, bias=0.0, threshold=0.5)
"""For a model that brings no calibration: P(right) from the log odds of the span against the null."""

NULL_MARGIN_RETRIEVAL_WEIGHT = 10.0
"""In the middle of the plateau (10 to 40) that the shipped reader's own weight was found on."""


TEMPERATURE = "temperature.json"
"""Beside a choice model: what its scores are divided by, so that its probabilities are right as often as they say."""

SHIPPED = ("builtin", "reader")
"""Names that stand for weights of this project: those of the target itself, and those of the reader."""


_OF_TRANSFORMERS = {
    "reader": ", or a question-answering model of transformers",
    "reranker": ", or a cross-encoder of transformers",
}


def folder_of(target: str, model: str) -> Path:
    """The folder of a model for ``target``: "builtin", "reader" for the shipped reader's, or a folder.

    Raises:
        ModelError: there is no model in that folder.
    """
    names = {"builtin": target, "reader": "reader"}
    folder = Path(__file__).parent / names[model] if model in names else Path(model)
    if model == "builtin" and not folder.is_dir():
        raise ModelError(
            f"no weights for a {target} come with this version",
            accepted=f"a folder of `ragqa finetune {target}`",
            next_step=f"ragqa finetune {target} --data my_questions.jsonl --dry-run",
        )
    if not (folder / "model.safetensors").is_file():
        whole = _OF_TRANSFORMERS.get(target, "")
        raise ModelError(
            f"{folder} holds no {target} (model.safetensors)",
            accepted=f"builtin, a folder of `ragqa finetune {target}`{whole}",
            next_step="ragqa doctor",
        )
    return folder


def reader_folder(model: str) -> Path:
    """The folder of a reader: "builtin", one that ``ragqa finetune reader`` wrote, or a Hugging Face folder.

    Raises:
        ModelError: there is no reader in that folder.
    """
    return folder_of("reader", model)


def stored_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says of the model in ``folder``."""
    return _json(folder / "config.json")


def base_of(folder: Path) -> Path | None:
    """The model that the one in ``folder`` only adds to; None for one that stands on its backbone alone.

    Raises:
        ModelError: it is not there any more, or is another one by now.
    """
    base = stored_config(folder).get("base")
    if base is None:
        return None
    found = folder_of(str(base["target"]), str(base["model"]))
    if base_digest(found) != base["digest"]:
        raise ModelError(
            f"{folder} was trained on top of another model than {base['model']} is now",
            accepted=f"the model whose weights have the digest {base['digest']}",
            next_step="train it again",
        )
    return found


def base_digest(folder: Path) -> str:
    """What a model is known by to those that are trained on top of it."""
    return backbone.file_digest(folder / "model.safetensors")[:16]


def is_huggingface(folder: Path) -> bool:
    """True for a whole model as other libraries save it, False for one of ours, which names its backbone."""
    whole = not (folder / "config.json").is_file() and (folder / "modules.json").is_file()
    return whole or "backbone" not in stored_config(folder)


def backbone_of(folder: Path) -> Path:
    """The folder with the tokenizer and the encoder that the model in ``folder`` stands on."""
    if is_huggingface(folder):
        return folder
    return backbone.resolve(str(stored_config(folder)["backbone"]))


def read_temperature(folder: Path) -> float:
    """What the scores of the choice model in ``folder`` are divided by; 1 where nothing was fitted.

    Raises:
        ModelError: a file that holds no such number.
    """
    path = folder / TEMPERATURE
    if not path.exists():
        return 1.0
    try:
        found = float(_json(path)["temperature"])
    except (KeyError, TypeError, ValueError) as fault:
        raise ModelError(
            f"{path} holds no temperature ({fault})", next_step="train the model again"
        ) from fault
    return found


def read_calibration(folder: Path) -> ReaderCalibration:
    """The calibration beside the weights in ``folder``; for a Hugging Face folder without one, a plain one."""
    if is_huggingface(folder) and not (folder / "calibration.json").exists():
        lexical = read_calibration(reader_folder("builtin")).lexical
        return ReaderCalibration(NULL_MARGIN_RETRIEVAL_WEIGHT, NULL_MARGIN, lexical)
    path = folder / "calibration.json"
    stored = _json(path)
    try:
        return ReaderCalibration(
            float(stored["retrieval_weight"]), Calibration(**stored["span"]), Calibration(**stored["lexical"])
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise ModelError(
            f"{path} is no calibration ({type(fault).__name__}: {fault})",
            next_step="ragqa finetune calibrate --config RUN.yaml --model FOLDER",
        ) from fault


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as fault:
        raise ModelError(
            f"{path} cannot be read: {fault}", next_step="train or install the model again"
        ) from fault
    return values
