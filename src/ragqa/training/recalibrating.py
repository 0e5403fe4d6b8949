"""``finetune calibrate``: the confidence of a trained reader fitted anew, on questions that it was not trained on."""

import json
from pathlib import Path

from ragqa import pretrained
from ragqa.errors import TrainingError
from ragqa.training.run import divided
from ragqa.training.run_folder import RESOLVED
from ragqa.training.settings import ReaderRun
from ragqa.training.targets import reader
from ragqa.training.task import Report

_SPLIT = ("hold_out", "split_seed", "validation_documents", "test_documents", "max_questions")
"""Settings that decide which questions a model was trained on."""


def calibrate_reader(run: ReaderRun, folder: Path, report: Report) -> None:
    """Fit the calibration of the reader in ``folder`` on the validation documents of ``run``.

    Raises:
        TrainingError: they have too few answerable questions, or it is the shipped reader.
    """
    if str(folder) in pretrained.SHIPPED:
        raise TrainingError(
            f"the reader {folder} belongs to this version of ragqa",
            accepted="a folder of `ragqa finetune reader`",
            next_step="ragqa tune, whose file sets reader.threshold",
        )
    stored = pretrained.reader_folder(str(folder))
    run = _held_out_as_trained(run, stored).changed(backbone=str(pretrained.backbone_of(stored)))
    reader.fit_calibration(run, divided(run, report), stored, report)


def _held_out_as_trained(run: ReaderRun, folder: Path) -> ReaderRun:
    """``run`` with the held-out part that the model in ``folder`` had, where it was trained on the same files.

    A confidence fitted on questions that the model has learned would be too high.
    """
    path = folder / RESOLVED
    if not path.is_file():
        return run
    trained = json.loads(path.read_text(encoding="utf-8"))
    files = [Path(name) for name in trained["data"]]
    moved = [file.resolve() for file in files] != [file.resolve() for file in run.data]
    named = isinstance(trained.get("validation_documents"), list)  # documents of those very files
    if [file.name for file in files] != [file.name for file in run.data] or (moved and named):
        return run
    kept = {name: trained[name] for name in _SPLIT if name in trained and name not in run.model_fields_set}
    return run.changed(**kept)
