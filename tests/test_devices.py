"""What the machine can do decides the precision; what it cannot do is refused by name."""

from pathlib import Path

import pytest
import torch

from ragqa import devices
from ragqa.errors import ConfigError

ZEN5 = frozenset({"avx2", "avx512f", "avx512_bf16", "avx512_vnni"})
SAPPHIRE_RAPIDS = frozenset({"avx512f", "amx_tile", "amx_bf16"})
SKYLAKE = frozenset({"avx2", "avx512f"})


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [(ZEN5, "bf16"), (SAPPHIRE_RAPIDS, "bf16"), (SKYLAKE, "f32"), (frozenset(), "f32")],
)
def test_auto_takes_bf16_only_where_the_cpu_computes_in_it(flags: frozenset[str], chosen: str) -> None:
    assert devices.choose_precision("auto", "cpu", flags) == chosen


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_f32_and_int8_are_served_by_every_cpu(precision: str) -> None:
    assert devices.choose_precision(precision, "cpu", frozenset()) == precision


def test_emulated_bf16_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no bf16 arithmetic.*auto, f32, int8"):
        devices.choose_precision("bf16", "cpu", SKYLAKE)


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "f32")])  # an A100, a T4
def test_auto_takes_bf16_only_where_the_gpu_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, chosen: str
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert devices.choose_precision("auto", "cuda") == chosen
    assert devices.choose_precision("bf16", "cuda") == "bf16"
    assert devices.choose_precision("f32", "cuda") == "f32"


def test_int8_is_refused_on_a_gpu() -> None:
    with pytest.raises(ConfigError, match="CPUs only"):
        devices.choose_precision("int8", "cuda")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'fp8'.*auto, bf16, f32, int8"):
        devices.choose_precision("fp8", "cpu")
    with pytest.raises(ConfigError, match=r"'tpu'.*auto, cpu, cuda"):
        devices.choose_device("tpu")


@pytest.mark.skipif(devices.has_cuda(), reason="this machine has a GPU")
def test_cuda_is_refused_without_a_gpu() -> None:
    assert devices.choose_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="no GPU"):
        devices.choose_device("cuda")


def test_cpu_flags_are_read_from_the_first_core(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nmodel name\t: Imagined 9000\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\n"
    )
    assert devices.cpu_flags(info) == {"fpu", "avx2", "amx_bf16"}
    assert devices.cpu_model(info) == "Imagined 9000"
    assert devices.cpu_flags(tmp_path / "missing") == frozenset()
    assert devices.cpu_model(tmp_path / "missing") == "unknown"


def test_the_environment_moves_the_cache_and_limits_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "here"))
    assert devices.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("RAGQA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert devices.cache_folder().name == "ragqa"
    monkeypatch.setenv("RAGQA_THREADS", "1")
    assert devices.threads() == 1
    monkeypatch.setenv("RAGQA_THREADS", "many")
    with pytest.raises(ConfigError, match="RAGQA_THREADS is 'many'"):
        devices.threads()


def test_the_environment_names_the_device_that_auto_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_cuda", lambda: True)
    assert devices.choose_device("auto") == "cuda"
    monkeypatch.setenv("RAGQA_DEVICE", "cpu")
    assert devices.choose_device("auto") == "cpu"
    assert devices.choose_device("cuda") == "cuda"
    monkeypatch.setenv("RAGQA_DEVICE", "tpu")
    with pytest.raises(ConfigError, match="RAGQA_DEVICE: there is no 'tpu'"):
        devices.choose_device("auto")


def test_int8_sums_are_clipped_on_x86_without_vnni_alone() -> None:
    assert devices.clips_int8(frozenset({"sse2", "avx2"}))
    assert not devices.clips_int8(frozenset({"avx2", "avx512_vnni"}))
    assert not devices.clips_int8(frozenset({"avx2", "avx_vnni"}))
    assert not devices.clips_int8(frozenset({"asimd", "asimddp"}))


def test_a_container_quota_limits_threads(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    for text, cores in [("150000 100000\n", 2), ("max 100000\n", None), ("nonsense", None)]:
        limit.write_text(text)
        assert devices._cgroup_cores(limit) == cores
    assert devices._cgroup_cores(tmp_path / "missing") is None
