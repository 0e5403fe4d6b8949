"""Reading documents in a child process, so that no file can hang, crash or exhaust the program that indexes.

One worker (``python -m ragqa.isolation``) serves many files. A request is a line of JSON; the reply is, for
each document, a line of JSON followed by the bytes of its text, a line for each part that is left out, and a
closing line with the verdict. Nothing that is read is ever executed or unpickled.
"""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragqa.errors import DocumentError
from ragqa.paths import readable
from ragqa.types import Document
from ragqa.wire import Channel, WorkerDied, WorkerTimeout, document_of, fault_of

MAX_SECONDS = 60.0
MAX_MEMORY_MB = 1024
MAX_FILE_MB = 256
PATIENCE = 5

_OUT_OF_MEMORY = 77  # exit code of a worker whose memory ran out, perhaps in the middle of a reply
_RESAVE = "save the file again in its own program"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file is written or replaced."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """
        Raises:
            OSError: the file is gone.
        """
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The documents of a file together with the SHA-256 of the very bytes that they were read from.

    ``faults`` are those of the parts that had to be left out.
    """

    documents: list[Document]
    digest: str
    stamp: Stamp
    faults: tuple[DocumentError, ...] = ()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LoaderProcess:
    """A worker that reads files, within limits of time and memory for each.

    Use it as a context manager. The worker starts with the first file and is replaced whenever it had to be
    killed, or ended by itself.
    """

    def __init__(
        self,
        max_seconds: float = MAX_SECONDS,
        max_memory_mb: int = MAX_MEMORY_MB,
        max_file_mb: int = MAX_FILE_MB,
    ) -> None:
        self._max_seconds = max_seconds
        self._max_memory_mb = max_memory_mb
        self._max_file_mb = max_file_mb
        self._worker: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._served = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        worker, self._worker, self._channel = self._worker, None, None
        if worker is None:
            return
        with suppress(OSError):
            os.killpg(worker.pid, signal.SIGKILL)
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        worker.wait()

    def load(self, path: Path, doc_id: str) -> list[Document]:
        """The documents of a file.

        Raises:
            DocumentError: the file cannot be read within the limits; the message begins with its name.
        """
        return self.read(path, doc_id).documents

    def read(self, path: Path, doc_id: str) -> Loaded:
        """The documents of a file with the digest of its bytes. A file that changes meanwhile is read again.

        Raises:
            DocumentError: as ``load``.
        """
        for _ in range(2):
            try:
                before = self._admit(path)
                try:
                    parts, fault = self._parts(path, doc_id), None
                except DocumentError as error:
                    parts, fault = [], error
                digest = file_digest(path) if fault is None else ""
                after = Stamp.of(path)
            except OSError as error:
                raise _refused(
                    path, f"cannot be opened ({error.strerror or error})", "check the file"
                ) from error
            if before == after:
                if fault is not None:
                    raise fault
                documents = [part for part in parts if isinstance(part, Document)]
                faults = tuple(part for part in parts if isinstance(part, DocumentError))
                return Loaded(documents, digest, after, faults)
        raise _refused(path, "changed while being read", "index it again when nothing writes to it")

    def _admit(self, path: Path) -> Stamp:
        """Check what can be seen without reading.

        Raises:
            DocumentError: no regular file, or a larger one than allowed.
            OSError: the file is gone.
        """
        stamp = Stamp.of(path)
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refused(path, "is not a regular file", "name a file that holds a document")
        if stamp.size > self._max_file_mb << 20:
            raise DocumentError(
                f"{readable(path)}: has {stamp.size / (1 << 20):,.0f} MB",
                accepted=f"files of at most {self._max_file_mb} MB",
                next_step="split the file, or raise max_file_mb",
            )
        return stamp

    def _parts(self, path: Path, doc_id: str) -> list[Document | DocumentError]:
        while True:
            fresh = self._served == 0 or self._worker is None
            try:
                return list(self._request(path, doc_id))
            except WorkerTimeout:
                self.close()
                raise _refused(
                    path, f"took longer than {self._max_seconds:g} s", "split the file, or raise max_seconds"
                ) from None
            except WorkerDied:
                fault = self._obituary(path)
                self.close()
                # What earlier files left behind (fragmented memory) must not be held against this one.
                if fresh:
                    raise fault from None

    def _obituary(self, path: Path) -> DocumentError:
        """Why the worker ended while it read ``path``."""
        assert self._worker is not None
        try:
            code = self._worker.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return _refused(path, "stopped its reader", _RESAVE)
        if code == _OUT_OF_MEMORY:
            said = f"needs more than {self._max_memory_mb} MB of memory"
            return _refused(path, said, "split the file, or raise max_memory_mb")
        cause = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return _refused(path, f"crashed its reader ({cause})", _RESAVE)

    def _request(self, path: Path, doc_id: str) -> Iterator[Document | DocumentError]:
        """One exchange with the worker.

        Raises:
            DocumentError: the worker's own refusal.
            WorkerTimeout, WorkerDied: the worker is of no more use.
        """
        channel = self._connect()
        assert self._worker is not None
        left = _Allowance(self._worker.pid, self._max_seconds).left
        channel.send({"folder": str(Path.cwd()), "path": str(path), "doc_id": doc_id})
        self._served += 1
        while True:
            head = channel.receive(left)
            if "document" in head:
                yield document_of(head["document"], channel.receive_text(head["bytes"], left))
            elif "fault" in head:
                yield fault_of(head["fault"])
            elif "refused" in head:
                raise fault_of(head["refused"])
            else:
                return

    def _connect(self) -> Channel:
        if self._channel is not None and self._worker is not None and self._worker.poll() is None:
            return self._channel
        self.close()
        package = str(Path(__file__).resolve().parents[1])
        inherited = os.environ.get("PYTHONPATH")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [package, inherited])),
            # Each thread of a numeric library would reserve address space, which is what is limited.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        # -P: a module in the current folder, which may be full of strangers' files, must not be imported.
        command = [
            sys.executable,
            "-P",
            "-m",
            "ragqa.isolation",
            str(self._max_seconds),
            str(self._max_memory_mb),
        ]
        self._worker = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the worker
            bufsize=0,
        )
        self._served = 0
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._channel = Channel(self._worker.stdout.fileno(), self._worker.stdin.fileno())
        return self._channel


class _Allowance:
    """Seconds that a worker may still take.

    On a busy machine a file must not be lost because others had the processor: beyond the limit, the worker may go
    on until it has itself computed for that long, or has taken ``PATIENCE`` times the limit.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._begun = time.monotonic()
        self._computed = _processor_seconds(pid)

    def left(self) -> float:
        taken = time.monotonic() - self._begun
        if taken < self._seconds:
            return self._seconds - taken
        computed = _processor_seconds(self._pid) - self._computed
        return min(self._seconds - computed, PATIENCE * self._seconds - taken)


def _processor_seconds(pid: int) -> float:
    """What a process has computed so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _refused(path: Path, found: str, next_step: str) -> DocumentError:
    return DocumentError(f"{readable(path)}: {found}", next_step=next_step)


def serve(max_seconds: float, max_memory_mb: int) -> None:
    """The worker's loop: answer requests on stdin until it closes."""
    import logging
    import resource
    import warnings

    from ragqa.loaders import iterate_documents
    from ragqa.wire import fault_values, write_document, write_line

    # Libraries print to stdout now and then: replies get a descriptor of their own.
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + (max_memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # Should the parent be gone, an endless file must not keep this process alive.
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * max_seconds + 5)
        try:
            os.chdir(request["folder"])
            for part in iterate_documents(Path(request["path"]), request["doc_id"]):
                if isinstance(part, Document):
                    write_document(part, out)
                else:
                    write_line({"fault": fault_values(part)}, out)
            verdict: dict[str, Any] = {"done": True}
        except DocumentError as error:
            verdict = {"refused": fault_values(error)}
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        write_line(verdict, out)
        out.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    serve(float(sys.argv[1]), int(sys.argv[2]))
