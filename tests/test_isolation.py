import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.discovery import discover
from ragqa.errors import DocumentError
from ragqa.isolation import LoaderProcess, Stamp
from ragqa.types import Document, Heading, Span
from ragqa.wire import Channel, WorkerDied, document_of, write_document

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="module")
def loader() -> Iterator[LoaderProcess]:
    with LoaderProcess() as process:
        yield process


def test_documents_arrive_as_the_loader_made_them(loader: LoaderProcess, tmp_path: Path) -> None:
    path = tmp_path / "名 前.md"
    path.write_text("# Title\n\ntext 检索 🎉\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    loaded = loader.read(path, "kb/x.md")
    text = "Title\n\ntext 检索 🎉\n\na: 1; b: 2"
    assert loaded.documents == [
        Document(
            id="kb/x.md",
            text=text,
            title="Title",
            source=path.as_posix(),
            headings=(Heading(0, 1, "Title"),),
            rows=(Span(len(text) - 10, len(text)),),
        )
    ]
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.stamp == Stamp.of(path)


def test_a_relative_path_is_read_from_the_current_folder(
    loader: LoaderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    assert [d.source for d in loader.load(Path("a.txt"), "a")] == ["a.txt"]


def test_a_bad_file_is_refused_by_name_and_the_next_is_read(loader: LoaderProcess, tmp_path: Path) -> None:
    bad, good = tmp_path / "two\nlines.pdf", tmp_path / "good.txt"
    bad.write_bytes(b"%PDF-1.4 nothing")
    good.write_text("fine")
    with pytest.raises(DocumentError, match=r"two\\nlines\.pdf: ") as caught:
        loader.load(bad, "bad")
    assert "\n" not in str(caught.value)
    assert loader.load(good, "good")[0].text == "fine"


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(tmp_path: Path) -> None:
    slow, good = tmp_path / "slow.csv", tmp_path / "good.txt"
    slow.write_text("a,b\n" + "some,words\n" * 3_000_000)
    good.write_text("fine")
    with LoaderProcess(max_seconds=1.0) as process:
        started = time.monotonic()
        with pytest.raises(DocumentError, match=r"slow\.csv: took longer than 1 s"):
            process.load(slow, "slow")
        assert time.monotonic() - started < 10
        process._max_seconds = 60.0  # the machine may be busy; only the first file is meant to be slow
        assert process.load(good, "good")[0].text == "fine"


def test_a_worker_that_waits_for_the_processor_is_given_more_time_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("fine")
    with LoaderProcess(max_seconds=1.0) as process:
        process.load(path, "warm")
        assert process._worker is not None
        worker = process._worker.pid
        os.kill(worker, signal.SIGSTOP)
        waking = threading.Timer(2.0, os.kill, (worker, signal.SIGCONT))
        waking.start()
        assert process.load(path, "a")[0].text == "fine"
        waking.join()
        os.kill(worker, signal.SIGSTOP)
        with pytest.raises(DocumentError, match="took longer than 1 s"):
            process.load(path, "a")


def test_a_file_that_needs_too_much_memory_is_given_up_and_the_next_is_read(tmp_path: Path) -> None:
    large, good = tmp_path / "large.txt", tmp_path / "good.txt"
    large.write_bytes(b"words and " * 8_000_000)
    good.write_text("fine")
    with LoaderProcess(max_memory_mb=64) as process:
        with pytest.raises(DocumentError, match=r"large\.txt: needs more than 64 MB of memory"):
            process.load(large, "large")
        assert process.load(good, "good")[0].text == "fine"


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("fine")
    with LoaderProcess() as process:
        process.load(path, "a")
        assert process._worker is not None
        process._worker.kill()
        process._worker.wait()
        assert process.load(path, "a")[0].text == "fine"


def test_a_larger_file_than_allowed_is_refused_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with (
        LoaderProcess() as process,
        pytest.raises(DocumentError, match=r"big\.txt: has 300 MB; accepted: files of at most 256 MB; try: "),
    ):
        process.load(path, "big")


def test_a_vanished_file_and_a_pipe_are_refused(loader: LoaderProcess, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DocumentError, match="not a regular file"):
        loader.load(tmp_path / "pipe.txt", "p")
    with pytest.raises(DocumentError, match=r"gone\.txt: cannot be opened"):
        loader.load(tmp_path / "gone.txt", "g")


def test_a_file_that_never_stops_changing_is_refused_and_one_change_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("version 0")
    with LoaderProcess() as process:
        changes = iter([1])
        original = process._parts

        def changing(path: Path, doc_id: str) -> list[Document | DocumentError]:
            documents = original(path, doc_id)
            for number in changes:
                path.write_text(f"version {number}, longer")
                break
            return documents

        monkeypatch.setattr(process, "_parts", changing)
        loaded = process.read(path, "a")
        assert loaded.documents[0].text == "version 1, longer"
        assert loaded.digest == hashlib.sha256(b"version 1, longer").hexdigest()
        changes = iter(range(10**9, 10**9 + 9))
        with pytest.raises(DocumentError, match="changed while being read"):
            process.load(path, "a")


def test_the_worker_imports_no_learning_library_and_nothing_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the folder')")
    (tmp_path / "a.txt").write_text("fine")
    path = tmp_path / "b.docx"
    document = docx.Document()
    document.add_paragraph("fine")
    document.save(str(path))
    program = (
        "import sys; from ragqa.isolation import LoaderProcess; from pathlib import Path\n"
        "with LoaderProcess() as p:\n"
        "    p.load(Path('a.txt'), 'a'); p.load(Path('b.docx'), 'b')\n"
        "    maps = Path(f'/proc/{p._worker.pid}/maps').read_text()\n"
        "print([n for n in ('torch', 'faiss', 'transformers', 'openvino', 'numpy') if f'/{n}/' in maps])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_many_small_files_take_little_time_each(loader: LoaderProcess, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a few words\n" * 40)
    loader.load(path, "warm")
    before = resource.getrusage(resource.RUSAGE_SELF)
    for number in range(1000):
        loader.load(path, str(number))
    after = resource.getrusage(resource.RUSAGE_SELF)
    # Processor time of this side: the wall clock would measure what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_a_text_file_of_200_mb_is_read_within_the_default_limits(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    line = "Every line of this file says the same, 检索 included.\n".encode()
    with path.open("wb") as file:
        for _ in range(200):
            file.write(line * ((1 << 20) // len(line)))
    with LoaderProcess() as process:
        (document,) = process.load(path, "large")
    assert len(document.text.encode()) == path.stat().st_size


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}")
def test_no_file_that_other_parsers_test_with_crashes_the_reader(loader: LoaderProcess) -> None:
    read, refused = 0, []
    for file in discover([DATA / "parser_samples"]).files:
        try:
            for document in loader.load(file.path, file.doc_id):
                read += 1
                assert document.text.encode()
                assert all(document.text[row.start : row.end].strip() for row in document.rows)
                assert all(0 <= h.start < len(document.text) for h in document.headings)
        except DocumentError as error:
            refused.append(str(error))
    assert read >= 120
    assert not [line for line in refused if "crashed" in line or "\n" in line]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
@settings(max_examples=50)
def test_any_text_crosses_the_pipe_unchanged(text: str, title: str) -> None:
    document = Document("id", text, title, "s", {"k": 1}, (Heading(0, 1, title),), (0,), (Span(0, 1),))
    incoming, outgoing = os.pipe()
    try:
        with os.fdopen(outgoing, "wb") as out:
            write_document(document, out)
        channel = Channel(incoming, -1)
        head = channel.receive(lambda: 10.0)
        assert document_of(head["document"], channel.receive_text(head["bytes"], lambda: 10.0)) == document
        with pytest.raises(WorkerDied):
            channel.receive(lambda: 10.0)
    finally:
        os.close(incoming)
