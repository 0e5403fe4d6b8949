"""Run a command in a process of its own: how long it took, how much memory it had, what it printed.

Memory is resident memory of the process and all its descendants together, read from /proc while they run.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "ANONYMIZED_TELEMETRY": "False",
    "POSTHOG_DISABLED": "1",
    "DO_NOT_TRACK": "1",
}
"""No model hub and no telemetry, whoever asks for it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended; ``peak_mb`` in MiB."""

    returncode: int
    seconds: float
    peak_mb: float
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """The last words of a process that failed."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.returncode}"


def environment(threads: int) -> dict[str, str]:
    """The environment of every measured process: the same number of threads, and nothing goes online."""
    counts = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "RAGQA_THREADS",
    )
    return {**os.environ, **OFFLINE, **dict.fromkeys(counts, str(threads)), "PYTHONWARNINGS": "ignore"}


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path, *, timeout: float = 3600) -> Finished:
    """Run ``command`` to its end, sampling its memory every 50 ms.

    Raises:
        subprocess.TimeoutExpired: it took longer than ``timeout`` seconds, and was killed.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        sampler = _Sampler(process.pid)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            seconds = time.perf_counter() - started
            sampler.stop()
    return Finished(process.returncode, seconds, sampler.peak_kb / 1024, stdout, stderr)


class _Sampler(threading.Thread):
    """Watches a process and its descendants; ``peak_kb`` is the greatest sum of their resident memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_kb = 0
        self._pid, self._ended = pid, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.peak_kb = max(self.peak_kb, _resident_kb(self._pid))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _resident_kb(pid: int) -> int:
    """kB in memory of a process and its descendants; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    except (OSError, ValueError):
        return 0
    found = _RESIDENT.search(status)
    return (int(found[1]) if found else 0) + sum(map(_resident_kb, children))


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text(encoding="ascii").split()
    except OSError:
        return []  # the thread has just ended
