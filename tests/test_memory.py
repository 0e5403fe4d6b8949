"""The most memory that a process has held."""

import subprocess
import sys

import numpy as np

_CHILD = """
from ragqa.memory import peak_memory
before = peak_memory()
held = b"1" * 300_000_000
del held
print(before, peak_memory())
"""


def test_the_peak_is_that_of_this_process_and_stays_when_memory_is_freed() -> None:
    held = np.ones(100_000_000)  # 800 MB, which the child must not begin with
    done = subprocess.run([sys.executable, "-c", _CHILD], check=True, capture_output=True, text=True)
    before, after = map(float, done.stdout.split())
    assert before < held.nbytes / 1e6 / 2
    assert 290 < after - before < 330
