"""Memory: the most that this process has held, and one line where a training run asks for more than there is."""

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragqa.errors import TrainingError

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def peak_memory() -> float:
    """The greatest resident memory of this process until now, in MB (10⁶ bytes)."""
    try:
        found = _PEAK.search(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024 / 1e6
    # Elsewhere than on Linux, where a process would begin with the peak of the one that started it.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


@contextmanager
def memory_named() -> Iterator[None]:
    """Memory that a run lacks, on a CPU or a GPU, as one line.

    Raises:
        TrainingError: there was too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if isinstance(fault, RuntimeError) and "memory" not in str(fault):  # so torch says it
            raise
        raise TrainingError(
            str(fault).partition("\n")[0] or "the memory is too small",
            accepted="a run that fits into memory",
            next_step="a smaller schedule.batch_groups in the --config",
        ) from fault
