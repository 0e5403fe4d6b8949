"""Writers that are killed, that meet a failing disk, or that meet each other: the index always answers.

The writer here is the real one: files, catalog, checksums, rename. Each version of the index says its number
in every file, so that a mixture of two versions is seen.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import ragqa.publishing
from ragqa.catalog import Catalog, FileRecord
from ragqa.catalog_writer import CatalogWriter
from ragqa.errors import IndexError_, IndexLocked, IndexMissing
from ragqa.generations import CURRENT, GENERATIONS, open_generation, read_current
from ragqa.publishing import Draft, writer_lock
from ragqa.types import Document, Passage

SOURCE = Path(ragqa.publishing.__file__).parent
WATCHED = {str(SOURCE / name) for name in ("publishing.py", "generations.py", "manifest.py", "durable.py")}


def publish(index: Path, version: int) -> None:
    text = f"version {version}"
    document = Document("a.txt", text)
    with writer_lock(index, 5), Draft(index, {"analysis": 1}) as draft:
        with CatalogWriter(draft.folder / "catalog.sqlite") as catalog:
            catalog.add_file(
                FileRecord("a.txt", "", 0, 0), [(document, [Passage("a.txt", 0, len(text), text)])]
            )
            counts = catalog.finish()
        (draft.folder / "vectors").mkdir()
        (draft.folder / "vectors/rows.bin").write_bytes(version.to_bytes(8, "big") * 64)
        draft.publish(counts.as_dict())


def read(index: Path) -> int:
    """The version that the index holds, found the same in all its files."""
    with open_generation(index) as generation:
        generation.verify_all()
        vectors = generation.verified("vectors") / "rows.bin"
        with Catalog(generation.verified("catalog.sqlite")) as catalog:
            version = int(catalog.passages([0])[0].text.removeprefix("version "))
        assert vectors.read_bytes() == version.to_bytes(8, "big") * 64
        return version


def assert_tidy(index: Path) -> None:
    """Nothing but the lock, the current generation and at most two before it: the next writer removes one."""
    names = {path.name for path in index.iterdir()}
    assert names <= {CURRENT, GENERATIONS, ".lock"}, names
    generations = sorted(path.name for path in (index / GENERATIONS).iterdir())
    assert len(generations) <= 3
    assert generations[-1] == read_current(index).name


def start_child(action: Callable[[], object]) -> int:
    """Run ``action`` in a forked process; returns its id."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return pid


def end_of_child(pid: int) -> int:
    """Exit status, negative when a signal ended the process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class KillAtLine:
    """A trace function that kills its process before the given line run in the publishing modules."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: object) -> "KillAtLine | None":
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self

    def publish(self, index: Path, version: int) -> None:
        threading.settrace(self)
        sys.settrace(self)
        publish(index, version)


def lines_of_a_publication(index: Path) -> int:
    counter = KillAtLine(0)
    try:
        counter.publish(index, 0)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    return -counter.left


def kill_and_check(index: Path, lines: Iterator[int] | range) -> int:
    """Kill a writer at each of ``lines``; the number of kills. The index must be whole after each of them."""
    kills = 0
    before = read(index)
    for version, line in enumerate(lines, before + 1):
        status = end_of_child(start_child(partial(KillAtLine(line).publish, index, version)))
        assert status in (0, -signal.SIGKILL)
        kills += status == -signal.SIGKILL
        after = read(index)
        assert after in (before, version), f"killed at line {line}"
        assert status != 0 or after == version
        before = after
    return kills


def test_an_indexer_killed_at_a_hundred_points_leaves_an_index_that_answers(tmp_path: Path) -> None:
    index = tmp_path / "kb"
    lines = lines_of_a_publication(index)
    assert kill_and_check(index, range(1, lines + 1, max(1, lines // 120))) >= 100
    publish(index, 10_000)
    assert read(index) == 10_000
    assert_tidy(index)


@pytest.mark.slow
def test_an_indexer_killed_at_every_line_leaves_an_index_that_answers(tmp_path: Path) -> None:
    index = tmp_path / "kb"
    lines = lines_of_a_publication(index)
    assert kill_and_check(index, range(1, lines + 1)) >= lines * 0.9
    publish(index, 10_000)
    assert_tidy(index)


def test_the_first_indexer_killed_anywhere_leaves_no_index_or_a_whole_one(tmp_path: Path) -> None:
    lines = lines_of_a_publication(tmp_path / "other")
    seen = set()
    for line in range(1, lines + 1, max(1, lines // 30)):
        index = tmp_path / str(line)
        end_of_child(start_child(partial(KillAtLine(line).publish, index, 7)))
        try:
            seen.add(read(index))
        except IndexMissing:
            seen.add(0)
        publish(index, 8)
        assert read(index) == 8
        assert_tidy(index)
    assert 0 in seen


def under_strace(action: Callable[[], object], injection: str) -> int:
    """The exit status of ``action`` in a process whose system calls fail as ``injection`` says."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; the kills at lines of the code ran without it")
    blocked, start = os.pipe()
    pid = start_child(lambda: os.read(blocked, 1) and action())
    command = [strace, "-f", "-qq", "-o", os.devnull, "-e", f"inject={injection}", "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text() and tracer.poll() is None:
            time.sleep(0.005)
        allowed = tracer.poll() is None
        os.write(start, b"go")
        status = end_of_child(pid)
        assert tracer.stderr is not None
        complaint = tracer.stderr.read()
    os.close(blocked)
    os.close(start)
    if not allowed:
        pytest.skip(f"strace may not attach here: {complaint.strip()}")
    return status


@pytest.mark.parametrize("call", ["fsync", "rename", "flock"])
def test_an_indexer_killed_in_a_system_call_leaves_an_index_that_answers(tmp_path: Path, call: str) -> None:
    publish(tmp_path, 1)
    before = 1
    for number in itertools.count(1):
        status = under_strace(partial(publish, tmp_path, number + 1), f"{call}:signal=KILL:when={number}")
        after = read(tmp_path)
        assert after in (before, number + 1)
        before = after
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert number > 1
    assert read(tmp_path) == number + 1
    assert_tidy(tmp_path)


@pytest.mark.parametrize(
    "injection", ["fsync:error=EIO:when=3", "rename:error=ENOSPC:when=2", "fsync:error=EIO"]
)
def test_a_disk_that_fails_is_one_clear_line_and_the_old_index_answers(
    tmp_path: Path, injection: str
) -> None:
    index, message = tmp_path / "kb", tmp_path / "message"
    publish(index, 1)

    def publish_and_tell() -> None:
        try:
            publish(index, 2)
        except IndexError_ as error:
            message.write_text(str(error))

    assert under_strace(publish_and_tell, injection) == 0
    assert message.read_text().startswith(f"{index} could not be written: ")
    assert "still answers; try: free space on that disk" in message.read_text()
    assert "\n" not in message.read_text()
    assert read(index) == 1
    assert_tidy(index)


def test_everything_is_on_the_disk_before_current_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may fail as well: whatever is renamed was forced to the disk before, its new name after."""
    publish(tmp_path, 1)
    log: list[str] = []
    real_sync, real_rename, real_replace = os.fsync, Path.rename, os.replace

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        log.append(f"sync {path.relative_to(tmp_path)}")
        real_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        log.append("name generation")
        return real_rename(path, target)

    def replace(source: Path, target: Path) -> None:
        log.append("name current")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(os, "replace", replace)
    publish(tmp_path, 2)

    named, pointed = log.index("name generation"), log.index("name current")
    synced = {line.removeprefix("sync generations/").partition("/")[2] for line in log[:named]}
    assert synced >= {"", "catalog.sqlite", "vectors", "vectors/rows.bin", "manifest.json"}
    assert log[named + 1 : pointed] == ["sync generations", "sync CURRENT.new"]
    assert log[pointed + 1 :] == ["sync ."]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def write_bytes(folder: Path) -> None:
    (folder / "big.bin").write_bytes(b"\1" * 5_000_000)


def write_array(folder: Path) -> None:
    np.save(folder / "big.npy", np.ones(5_000_000, dtype=np.uint8))


def write_catalog(folder: Path) -> None:
    with CatalogWriter(folder / "big.sqlite") as catalog:
        for name in map(str, range(100)):
            text = name.ljust(100_000, "x")
            catalog.add_file(FileRecord(name, "", 0, 0), [(Document(name, text), [])])
        catalog.finish()


@pytest.mark.parametrize("write", [write_bytes, write_array, write_catalog])
def test_a_full_disk_leaves_the_old_index_and_takes_no_room(
    small_disk: Path, write: Callable[[Path], None]
) -> None:
    index = small_disk / "kb"
    publish(index, 1)
    free = shutil.disk_usage(small_disk).free
    with (
        pytest.raises(
            IndexError_, match=r"could not be written: .* free, .* written; .* still answers"
        ) as caught,
        writer_lock(index, 1),
        Draft(index, {}) as draft,
    ):
        write(draft.folder)
    assert caught.value.next_step
    assert read(index) == 1
    assert_tidy(index)
    assert shutil.disk_usage(small_disk).free == free


def test_a_disk_that_fills_up_at_any_step_of_publishing_leaves_a_whole_index(small_disk: Path) -> None:
    index, filler = small_disk / "kb", small_disk / "filler"
    publish(index, 1)
    before, failures = 1, 0
    for version, spare in enumerate(range(0, 160_000, 8_192), 2):
        filler.unlink(missing_ok=True)
        with writer_lock(index, 1):
            pass  # as the next run would: out-of-date generations leave before the disk is measured
        filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - spare))
        try:
            publish(index, version)
            before = version
        except IndexError_:
            failures += 1
        assert read(index) == before
    assert 0 < failures < 20
    filler.unlink()
    publish(index, 100)
    assert read(index) == 100


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError, FileNotFoundError])
def test_a_draft_that_is_left_by_an_exception_vanishes_and_the_exception_passes(
    tmp_path: Path, error: type[BaseException]
) -> None:
    publish(tmp_path, 1)

    def write_and_fail() -> None:
        with writer_lock(tmp_path, 1), Draft(tmp_path, {}) as draft:
            (draft.folder / "half").write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        write_and_fail()
    assert read(tmp_path) == 1
    assert_tidy(tmp_path)


def test_an_interrupt_right_after_current_was_renamed_keeps_the_new_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, 1)
    real_replace = os.replace

    def replace_and_interrupt(source: Path, target: Path) -> None:
        real_replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, 2)
    assert read(tmp_path) == 2


def test_a_draft_that_is_not_published_changes_nothing(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    with writer_lock(tmp_path, 1), Draft(tmp_path, {}) as draft:
        (draft.folder / "file").write_text("unwanted")
    assert read(tmp_path) == 1
    assert_tidy(tmp_path)


def test_links_are_not_published(tmp_path: Path) -> None:
    with writer_lock(tmp_path, 1), Draft(tmp_path, {}) as draft:
        (draft.folder / "link").symlink_to("/etc/hostname")
        with pytest.raises(ValueError, match="regular files only"):
            draft.publish()


def test_the_next_writer_names_the_leftovers_that_it_removes(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    (tmp_path / GENERATIONS / ".partial-0123abcd" / "sub").mkdir(parents=True)
    (tmp_path / GENERATIONS / "00000002-0123abcd").mkdir()
    (tmp_path / "CURRENT.new").write_text("half")
    (tmp_path / GENERATIONS / "notes of the user").write_text("keep me")
    with writer_lock(tmp_path, 1) as leftovers:
        assert leftovers == [".partial-0123abcd", "00000002-0123abcd", "CURRENT.new"]
    with writer_lock(tmp_path, 1) as leftovers:
        assert leftovers == []
    assert (tmp_path / GENERATIONS / "notes of the user").exists()
    assert read(tmp_path) == 1


def test_a_generation_that_never_became_current_is_a_leftover(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    (tmp_path / CURRENT).unlink()
    [name] = [path.name for path in (tmp_path / GENERATIONS).iterdir()]
    with writer_lock(tmp_path, 1) as leftovers:
        assert leftovers == [name]
    with pytest.raises(IndexMissing):
        open_generation(tmp_path)


def test_a_damaged_current_costs_no_generation(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    publish(tmp_path, 2)
    pointer = (tmp_path / CURRENT).read_bytes()
    (tmp_path / CURRENT).write_text("garbage")
    with writer_lock(tmp_path, 1):
        assert len(list((tmp_path / GENERATIONS).iterdir())) == 2
    (tmp_path / CURRENT).write_bytes(pointer)
    assert read(tmp_path) == 2
    (tmp_path / CURRENT).write_text("garbage")
    publish(tmp_path, 3)
    assert read(tmp_path) == 3


HOLDER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SOURCE.parent)!r})
from ragqa.publishing import writer_lock
with writer_lock(Path(sys.argv[1]), 1):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the index ``tmp_path`` until its input is closed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_says_who_holds_the_index(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []
    started = time.monotonic()
    expected = rf"process {holder.pid} since 20.*waited 0\.2 s; try:"
    with pytest.raises(IndexLocked, match=expected), writer_lock(tmp_path, 0.2, told.append):
        pytest.fail("two writers at once")
    assert time.monotonic() - started >= 0.2
    assert len(told) == 1
    assert f"process {holder.pid}" in told[0]


def test_a_second_writer_waits_for_the_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    waiting = threading.Event()
    threading.Thread(target=lambda: (waiting.wait(30), holder.stdin and holder.stdin.close())).start()
    with writer_lock(tmp_path, 60, lambda message: waiting.set()):
        assert waiting.is_set()


def test_a_killed_writer_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    publish(tmp_path, 3)
    assert read(tmp_path) == 3


def test_a_place_that_cannot_hold_an_index_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    expected = r"cannot be written: .*; try: choose a folder"
    with pytest.raises(IndexError_, match=expected), writer_lock(tmp_path / "file", 1):
        pytest.fail("a file became an index")


def test_readers_never_fail_while_twenty_generations_are_published(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    stop = tmp_path / "stop"

    def read_on() -> None:
        reads, last = 0, 0
        while not stop.exists() or reads == 0:
            version = read(tmp_path)
            assert version >= last
            reads, last = reads + 1, version

    readers = [start_child(read_on) for _ in range(2)]
    for version in range(2, 22):
        publish(tmp_path, version)
    stop.touch()
    assert [end_of_child(pid) for pid in readers] == [0, 0]
    assert read(tmp_path) == 21


def test_an_open_generation_outlives_twenty_others_and_goes_once_it_is_closed(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    with open_generation(tmp_path) as generation:
        for version in range(2, 22):
            publish(tmp_path, version)
        generation.verify_all()
        assert generation.verified("vectors/rows.bin").read_bytes()[7] == 1
    with writer_lock(tmp_path, 1):
        assert not generation.folder.exists()
    assert_tidy(tmp_path)


def test_a_generation_that_is_removed_while_it_is_being_opened_gives_way_to_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, 1)
    real_open = os.open

    def publish_first(path: Path, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("manifest.json"):
            monkeypatch.setattr(os, "open", real_open)
            for version in (2, 3, 4):
                publish(tmp_path, version)
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", publish_first)
    assert read(tmp_path) == 4
