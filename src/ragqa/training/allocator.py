"""Memory while a model is trained: what is freed stays in the process, and too little of it is one line.

Large tensors of changing sizes otherwise cost a page fault for each page.

Measured on two Zen 5 cores, a bfloat16 step of 32 questions: 26 a second with glibc's defaults, 35 with blocks kept
by the environment variables MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_; these calls were not
timed apart from them.
"""

import ctypes
import ctypes.util
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from ragqa.errors import TrainingError

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""What mallopt(3) calls them."""

_KEEPING = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: -1, _TOP_PAD: 2**28}
"""Nothing is given back (-1: a step may free more than any number that fits here), and the heap grows in strides."""

_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26, _TOP_PAD: 2**17}
"""Where glibc's own thresholds end up in a process that frees large blocks."""


_TOO_LITTLE = re.compile("out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
"""How torch says it, of a GPU and of a CPU."""


@contextmanager
def memory_named() -> Iterator[None]:
    """Memory that a run lacks, on a CPU or a GPU, as one line.

    Raises:
        TrainingError: there was too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if isinstance(fault, RuntimeError) and not _TOO_LITTLE.search(str(fault)):
            raise
        raise TrainingError(
            str(fault).partition("\n")[0] or "the memory is too small",
            accepted="a run that fits into memory",
            next_step="a smaller schedule.batch_groups in the --config, which is another run",
        ) from fault


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Tell glibc's malloc neither to map large blocks separately nor to give memory back before the end.

    Yields False where the C library has no ``mallopt`` (macOS, musl); nothing is changed then.
    """
    library = _glibc()
    if library is None:
        yield False
        return
    try:
        yield _set(library, _KEEPING)
    finally:
        _set(library, _USUAL)
        library.malloc_trim(0)


def give_back() -> None:
    """Give back what is free now: between blocks of ever other sizes the heap would grow for hours."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("c")
    library = ctypes.CDLL(name) if name else None
    return library if library is not None and hasattr(library, "mallopt") else None


def _set(library: ctypes.CDLL, settings: Mapping[int, int]) -> bool:
    return all(library.mallopt(key, value) == 1 for key, value in settings.items())
