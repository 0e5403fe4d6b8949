"""What this machine can do: CPU features, cores, a GPU, and where files may be cached.

Nothing here imports a model library, so asking and ``--help`` may use all of it.
"""

import importlib.metadata
import os
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from platformdirs import user_cache_path

from ragqa.errors import ConfigError

PRECISIONS = ("auto", "bf16", "f32", "int8")
DEVICES = ("auto", "cpu", "cuda")

_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def cache_folder() -> Path:
    """Where what can be made again is kept: ``RAGQA_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("RAGQA_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("ragqa")


@cache
def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets of the first core, as Linux names them; empty where nobody tells."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def clips_int8(flags: frozenset[str] | None = None) -> bool:
    """Whether this CPU adds products of bytes in 16 bits, which clip: x86 without the instructions called VNNI."""
    known = cpu_flags() if flags is None else flags
    return "avx2" in known and not known & _INT8_FLAGS


@cache
def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name, for reports."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def threads() -> int:
    """How many threads a model may use: ``RAGQA_THREADS``, else every core this process may run on."""
    chosen = os.environ.get("RAGQA_THREADS")
    if chosen:
        if not chosen.isdecimal() or int(chosen) < 1:
            raise ConfigError(f"RAGQA_THREADS is {chosen!r}", accepted="a whole number from 1")
        return int(chosen)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _cgroup_cores() or cores))


def _cgroup_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """The CPU quota of the container, rounded up; None where there is none."""
    try:
        quota, period = limit.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else ceil(int(quota) / int(period))


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda``; "auto" is ``RAGQA_DEVICE``, else the GPU where a driver and a torch made for it are.

    Raises:
        ConfigError: an unknown name, or "cuda" where there is none.
    """
    _check("device", device, DEVICES)
    if device == "auto":
        device = os.environ.get("RAGQA_DEVICE", "auto")
        _check("RAGQA_DEVICE", device, DEVICES)
    if device == "auto":
        return "cuda" if has_cuda() else "cpu"
    if device == "cuda" and not has_cuda():
        raise ConfigError(
            "device: cuda was asked for, but here is no GPU that torch can use", accepted="auto, cpu"
        )
    return device


@cache
def has_cuda() -> bool:
    """True when a GPU can serve. torch is only imported, to ask it, after an NVIDIA driver was seen."""
    if not Path("/proc/driver/nvidia/version").exists() or not find_spec("torch"):
        return False
    if importlib.metadata.version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()


def choose_precision(precision: str, device: str, flags: frozenset[str] | None = None) -> str:
    """``bf16``, ``f32`` or ``int8`` for this machine; "auto" is bf16 only where the CPU or the GPU computes in it.

    Elsewhere bf16 is emulated. On CPUs that is up to 100 times slower than f32, so there it is refused and not merely
    slow; on a GPU it still halves the memory, so who asks for it by name gets it.

    Raises:
        ConfigError: an unknown precision, or one that this device cannot serve.
    """
    _check("precision", precision, PRECISIONS)
    if device == "cuda":
        if precision == "int8":
            raise ConfigError("precision: int8 is served on CPUs only", accepted="auto, bf16, f32")
        return ("bf16" if _gpu_has_bf16() else "f32") if precision == "auto" else precision
    native = bool(_BF16_FLAGS & (cpu_flags() if flags is None else flags))
    if precision == "auto":
        return "bf16" if native else "f32"
    if precision == "bf16" and not native:
        raise ConfigError("precision: this CPU has no bf16 arithmetic", accepted="auto, f32, int8")
    return precision


def _gpu_has_bf16() -> bool:
    """Whether the GPU has bf16 arithmetic of its own: from NVIDIA's Ampere on; a V100 or T4 has none."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _check(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ConfigError(f"{name}: there is no {value!r}", accepted=", ".join(accepted))
