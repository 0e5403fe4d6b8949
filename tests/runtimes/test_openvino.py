"""OpenVINO computes what torch computes, from many threads, without torch and without a network."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from ragqa.backbone import builtin_path, child_environment
from ragqa.devices import choose_precision
from ragqa.errors import ConfigError, ModelError
from ragqa.models.span import SpanModel
from ragqa.pretrained import reader_folder
from ragqa.runtimes import open_runtime
from ragqa.runtimes.batches import Batch, pad
from ragqa.runtimes.openvino import OpenvinoRuntime
from ragqa.runtimes.torch import TorchRuntime


def batches(count: int, seed: int = 3) -> list[Batch]:
    """Random ids in rows of many lengths; the second half of each row is the second segment."""
    chance = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        rows = [
            chance.integers(1000, 29000, chance.integers(2, 60)).tolist()
            for _ in range(chance.integers(1, 9))
        ]
        batch = pad(rows)
        kinds = np.zeros_like(batch.kinds)
        kinds[:, kinds.shape[1] // 2 :] = 1
        made.append(batch._replace(kinds=kinds * batch.mask))
    return made


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader folder as training writes it: a head over the untouched builtin backbone."""
    folder = tmp_path_factory.mktemp("reader")
    head = SpanModel.from_backbone(builtin_path(), dropout=0.0).head
    save_file(
        {f"head.{name}": value.detach() for name, value in head.named_parameters()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps({"kind": "span", "backbone": "builtin"}))
    return folder


def test_span_logits_equal_those_of_torch_for_any_shape(reader: Path) -> None:
    asked = batches(6)
    served = OpenvinoRuntime("span", reader, precision="f32").run(asked)
    expected = TorchRuntime("span", reader, precision="f32", device="cpu").run(asked)
    for batch, found, wanted in zip(asked, served, expected, strict=True):
        assert len(found) == 2  # start and end
        for mine, theirs in zip(found, wanted, strict=True):
            assert mine.shape == batch.ids.shape
            real = batch.mask == 1
            np.testing.assert_allclose(mine[real], theirs[real], atol=2e-4)


def test_ctrl_c_is_heard_after_models_have_come_and_gone(reader: Path) -> None:
    """Two cores of OpenVINO, gone in the order in which they came, left a signal nowhere to run: exit code 139."""
    script = f"""
import signal
from pathlib import Path
import numpy as np
from ragqa.runtimes.batches import pad
from ragqa.runtimes.openvino import OpenvinoRuntime
models = [OpenvinoRuntime("span", Path({str(reader)!r}), precision="f32") for _ in range(2)]
for model in models:
    model.run([pad([[101, 7, 102]])])
while models:
    del models[0], model
    model = None
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("heard")
"""
    OpenvinoRuntime("span", reader, precision="f32").run(batches(1))  # converts it, if need be
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_threads_share_one_runtime(reader: Path) -> None:
    runtime = OpenvinoRuntime("span", reader, precision="f32")
    asked = batches(24)
    expected = [runtime.run([batch])[0] for batch in asked]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda batch: runtime.run([batch])[0], asked * 3))
        bulk = list(pool.map(runtime.run, [asked] * 4))
    for mine, wanted in zip(found, expected * 3, strict=True):
        np.testing.assert_array_equal(mine[0], wanted[0])
    for answers in bulk:
        for mine, wanted in zip(answers, expected, strict=True):
            np.testing.assert_allclose(mine[1], wanted[1], atol=2e-4)


def test_a_damaged_blob_is_replaced(reader: Path) -> None:
    runtime = OpenvinoRuntime("span", reader, precision="f32")
    expected = runtime.run(batches(1))[0]
    blobs = list((runtime._folder / "blobs").iterdir())
    assert blobs
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:1000])
    found = OpenvinoRuntime("span", reader, precision="f32").run(batches(1))[0]
    np.testing.assert_array_equal(found[0], expected[0])


def test_a_model_without_token_types_is_served(
    small_distilbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "cache"))
    asked = batches(3)
    served = OpenvinoRuntime("encoder", small_distilbert, precision="f32").run(asked)
    expected = TorchRuntime("encoder", small_distilbert, precision="f32", device="cpu").run(asked)
    for (mine,), (theirs,) in zip(served, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_torch_serves_bf16_close_to_f32() -> None:
    asked = batches(3)
    exact = TorchRuntime("encoder", builtin_path(), precision="f32", device="cpu").run(asked)
    if choose_precision("auto", "cpu") == "bf16":
        rounded = TorchRuntime("encoder", builtin_path(), precision="bf16", device="cpu").run(asked)
        cosines = [(a * b).sum(axis=1).min() for (a,), (b,) in zip(exact, rounded, strict=True)]
        assert min(cosines) >= 0.999
    with pytest.raises(ConfigError, match="int8 needs OpenVINO"):
        TorchRuntime("encoder", builtin_path(), precision="int8", device="cpu")


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ModelError, match=r"no model kind 'poem'; accepted: encoder, span"):
        TorchRuntime("poem", builtin_path(), device="cpu")


@pytest.mark.parametrize("option", [{"precision": "half"}, {"device": "abacus"}])
def test_unknown_options_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"half|abacus"):
        open_runtime("encoder", builtin_path(), **option)


WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            print(event, arguments, file=log)
sys.addaudithook(watch)
"""
ENCODE = """
import sys
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
encoder = SentenceTransformerEncoder(model=sys.argv[1], max_passage_tokens=64, precision="int8")
encoder.encode_queries(["What is a boundary layer?"])
heavy = ("torch", "transformers", "peft", "nncf", "sentence_transformers", "openvino_telemetry")
print([name for name in heavy if sys.modules.get(name)])
"""


def test_asking_imports_nothing_heavy_and_touches_no_network(small_bert: Path, tmp_path: Path) -> None:
    """Once with conversion and quantisation in a child, once from the cache; every process is watched."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    log, home = tmp_path / "network.log", tmp_path / "home"
    home.mkdir()
    environment = child_environment() | {"RAGQA_CACHE": str(tmp_path / "cache"), "HOME": str(home)}
    environment |= {"NETWORK_LOG": str(log), "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"}
    probe = [
        sys.executable,
        "-c",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))",
    ]
    subprocess.run(probe, env=environment, check=True)
    assert "socket.connect" in log.read_text()  # the watch sees
    log.unlink()
    for _ in range(2):
        asked = subprocess.run(
            [sys.executable, "-c", ENCODE, str(small_bert)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.strip() == "[]"
        assert not log.exists(), log.read_text()
    assert not (home / "intel").exists()  # where OpenVINO's telemetry keeps its identity


def test_runtimes_that_are_dropped_at_once_never_hang(reader: Path) -> None:
    """A queue with Python callbacks once waited, holding the GIL, for a thread that wanted the GIL."""
    asked = batches(5)
    first = OpenvinoRuntime("span", reader, precision="f32").run(asked)
    for _ in range(30):
        again = OpenvinoRuntime("span", reader, precision="f32").run(asked)
    for mine, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_the_shipped_reader_reads_a_text_alone_as_it_reads_it_padded() -> None:
    runtime = OpenvinoRuntime("span", reader_folder("builtin"), precision="f32")
    ids = np.array([[101, 2040, 2003, 102, 2198, 2003, 2182, 102]], dtype=np.int64)
    padded = np.pad(ids, ((0, 0), (0, 40)))
    alone, beside = (
        runtime.run([(rows, (rows > 0).astype(np.int64), np.zeros_like(rows))])[0] for rows in (ids, padded)
    )
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(one, other[:, : ids.shape[1]], atol=1e-4)
