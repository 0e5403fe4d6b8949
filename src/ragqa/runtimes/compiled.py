"""OpenVINO files in the user's cache folder: made once by a child process, checked at each load.

    CACHE/compiled/KEY/{model.xml, model.bin, arrays.safetensors, manifest.json, blobs/}

A folder named KEY is complete: it is filled under another name and renamed.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from filelock import FileLock

from ragqa.backbone import child_environment, digest, file_digest
from ragqa.devices import cache_folder, clips_int8
from ragqa.errors import ModelError
from ragqa.pretrained import backbone_of, is_huggingface

_CONVERTERS = (
    "runtimes/convert.py",
    "runtimes/networks.py",
    "runtimes/calibration.py",
    "layout.py",
    "choices.py",
    "models/*.py",
    "tuning/*.py",
)
"""Sources that decide what conversion makes of the weights: another version of them makes its own files."""

ARRAYS = "arrays.safetensors"
"""Beside some models: what is computed with outside of OpenVINO."""

_FILES = ("model.xml", "model.bin")
_log = logging.getLogger(__name__)


def compiled_folder(kind: str, source: Path, precision: str) -> Path:
    """The folder with the OpenVINO files of the model in ``source``; made when missing or damaged.

    Raises:
        ModelError: the model cannot be converted, or the cache folder cannot be written.
    """
    folder = cache_folder() / "compiled" / _key(kind, source, precision)
    if _intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _intact(folder):  # else another process made them while this one waited
                _make(kind, source, precision, folder)
    except OSError as error:
        raise ModelError(
            f"cannot keep compiled models in {folder.parent}: {error.strerror or error}",
            next_step="set RAGQA_CACHE to a folder that can be written",
        ) from error
    return folder


def _key(kind: str, source: Path, precision: str) -> str:
    if is_huggingface(source):
        weights = [digest(source)]
    else:
        # A model of ours stores only what differs from its backbone; its calibration changes no array.
        weights = [digest(backbone_of(source))]
        weights += [file_digest(source / name) for name in ("model.safetensors", "config.json")]
    stored = "f32" if precision != "int8" else "int8_half" if clips_int8() else "int8"
    package = Path(__file__).parents[1]
    converters = [file_digest(file) for pattern in _CONVERTERS for file in sorted(package.glob(pattern))]
    identity = [kind, weights, stored, converters, importlib.metadata.version("openvino")]
    return f"{kind}-{stored}-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]}"


def _intact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return all(file_digest(folder / name) == manifest[name] for name in {*_FILES, *manifest})
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(kind: str, source: Path, precision: str, folder: Path) -> None:
    for leftover in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    _log.info("preparing %s (%s) for this machine; this happens once", source.name, precision)
    try:
        _convert(kind, source, precision, partial)
        files = [*_FILES, *([ARRAYS] if (partial / ARRAYS).exists() else [])]
        manifest = {name: file_digest(partial / name) for name in files}
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been taken
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(kind: str, source: Path, precision: str, target: Path) -> None:
    """Convert in a child process, which keeps torch out of one that only asks.

    Where torch is loaded already, after training, a child would spend most of its time loading it again. int8 has its
    child even so: NNCF changes torch for the whole process.
    """
    if "torch" in sys.modules and precision != "int8":
        _convert_here(kind, source, precision, target)
    else:
        _convert_apart(kind, source, precision, target)


def _convert_here(kind: str, source: Path, precision: str, target: Path) -> None:
    from ragqa.runtimes.convert import convert

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what tracing says of constants; what it computes is compared by tests
        try:
            convert(kind, source, precision, target)
        except Exception as error:  # whatever a child would have died of
            raise _unprepared(source, str(error)) from error


def _convert_apart(kind: str, source: Path, precision: str, target: Path) -> None:
    command = [sys.executable, "-m", "ragqa.runtimes.convert", kind, str(source), precision, str(target)]
    child = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, errors="replace", check=False
    )
    if child.returncode:
        raise _unprepared(source, child.stderr or f"killed by signal {-child.returncode}")


def _unprepared(source: Path, said: str) -> ModelError:
    reason = (said.strip().splitlines() or ["no reason was given"])[-1]
    return ModelError(f"{source} cannot be prepared for OpenVINO: {reason}")
