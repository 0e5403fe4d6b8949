"""``ragqa doctor``: what this machine can run, what is present, what is missing."""

import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import typer

from ragqa.cli.options import DEFAULT_INDEX, ConfigFile, Index, Overrides
from ragqa.errors import ConfigError, RagqaError


def doctor(
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Check this machine: processor, precision, models, caches, packages; and the server that writes, if one is set."""
    faults = 0
    checks: dict[str, Callable[[], str]] = {
        **_CHECKS,
        "endpoint": partial(_endpoint, index, config, overrides),
    }
    for name, check in checks.items():
        try:
            state, text = "ok", check()
        except RagqaError as fault:
            state, text, faults = "MISSING", str(fault), faults + 1
        typer.echo(f"{name:<12} {state:<8} {text}")
    if faults:
        raise typer.Exit(1)


def _processor() -> str:
    from ragqa import devices

    flags = [
        f for f in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if f in devices.cpu_flags()
    ]
    return f"{devices.cpu_model()}, {devices.threads()} threads, {' '.join(flags) or platform.machine()}"


def _precision() -> str:
    from ragqa import devices

    device = devices.choose_device("auto")
    return f"{devices.choose_precision('auto', device)} on {device} (choose with --set encoder.precision=…)"


def _backbone() -> str:
    from ragqa import backbone

    backbone.verify()
    return f"{backbone.BUILTIN_NAME} in {backbone.builtin_path()}, digest right"


def _reader() -> str:
    from ragqa import pretrained

    folder = pretrained.reader_folder("builtin")
    pretrained.read_calibration(folder)
    return _sized(folder)


def _reranker() -> str:
    from ragqa import pretrained

    return f"{_sized(pretrained.folder_of('reranker', 'builtin'))}, off unless --set reranker=cross_encoder"


def _choice() -> str:
    from ragqa import pretrained

    return f"{_sized(pretrained.folder_of('choice', 'builtin'))}, for ragqa ask --choices"


def _generator() -> str:
    from ragqa import pretrained

    return f"{_sized(pretrained.folder_of('generator', 'builtin'))}, for --set reader.name=generative"


def _endpoint(index: Path, config: Path | None, overrides: list[str]) -> str:
    """Whether the server of the configuration answers; without one nothing is touched."""
    from ragqa.config import load_config
    from ragqa.indexing import remembered_config

    found = load_config(config, overrides) if config else remembered_config(index, overrides)
    reader = found.reader.options()
    sections = {
        "reader": reader,
        "reader.generative": reader.get("generative") or {},
        "conversation.rewriter": found.conversation.rewriter.options(),
    }
    servers = {name: options for name, options in sections.items() if options.get("base_url")}
    if not servers:
        return "none, and nothing touches a network (set reader.base_url to write with a server's model)"
    answers = []
    for section, options in servers.items():
        try:
            answers.append(f"{section}: {_answering(section, options)}")
        except RagqaError as fault:
            raise RagqaError(f"{section}: {fault}") from fault
    return "; ".join(answers)


def _answering(section: str, options: Mapping[str, Any]) -> str:
    from ragqa.endpoint import Endpoint

    model = options.get("model", "")
    endpoint = Endpoint(options["base_url"], model, timeout_seconds=10, retries=0)
    offered = endpoint.models()
    shown = ", ".join(map(endpoint.quoted, offered[:8])) or "none"
    if model not in offered:
        # Some servers list less than they serve, so this is no fault of theirs; the name may still be one.
        missing = model or f"any {section}.model: none is set"
        return f"{endpoint.url} answers; it lists {shown}, and not {missing}"
    return f"{endpoint.url} answers, and serves {model}"


def _sized(folder: Path) -> str:
    return f"{folder} ({sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB)"


def _cache() -> str:
    from ragqa import devices

    folder = devices.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        raise ConfigError(
            f"{folder} cannot be written: {fault.strerror}",
            next_step="set RAGQA_CACHE to a folder that can be written",
        ) from fault
    return f"{folder} ({shutil.disk_usage(folder).free / 1e9:.0f} GB free; set RAGQA_CACHE for another)"


def _packages() -> str:
    return "  ".join(f"{name} {importlib.metadata.version(name)}" for name in _SHOWN)


def _plugins() -> str:
    from ragqa import plugins

    return "; ".join(f"{kind}: {', '.join(plugins.names(kind))}" for kind in plugins.SUFFIX)


def _formats() -> str:
    from ragqa.loaders import supported_suffixes

    return " ".join(sorted(supported_suffixes()))


_SHOWN = ("openvino", "faiss-cpu", "bm25s", "torch", "transformers", "sentence-transformers")
_CHECKS: dict[str, Callable[[], str]] = {
    "processor": _processor,
    "precision": _precision,
    "encoder": _backbone,
    "reader": _reader,
    "reranker": _reranker,
    "choice": _choice,
    "generator": _generator,
    "cache": _cache,
    "formats": _formats,
    "plugins": _plugins,
    "packages": _packages,
}
