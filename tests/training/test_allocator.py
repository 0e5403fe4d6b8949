"""Freed memory stays in the process while it is wanted, and no longer."""

import subprocess
import sys

import pytest

_SCRIPT = """
import re
from pathlib import Path
from ragqa.training.allocator import freed_memory_kept, give_back
import torch

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

def used():
    tensors = [torch.ones(size, 1 << 18) for size in range(1, 24)]  # 1 to 23 MiB each, 276 in all
    del tensors
    return resident()

before = resident()
with freed_memory_kept() as kept:
    inside = used()
    give_back()
    between = resident()
    used()
print(kept, inside - before, between - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_memory_is_kept_inside_and_given_back_when_asked_and_at_the_end() -> None:
    child = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    kept, inside, between, after = child.stdout.split()
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    assert int(inside) > 200
    assert int(between) < 100
    assert int(after) < 100
