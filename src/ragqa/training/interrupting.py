"""Ctrl-C while a model trains: the step ends first, so that what is kept is whole."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ragqa.training.workers import Workers


@contextmanager
def asked_to_stop(workers: Workers) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since; a second one interrupts at once.

    So does the first for one of several processes: the others would wait for its part of the next step. Where Ctrl-C
    is ignored, as in the background of a script, it stays so.
    """
    former = signal.getsignal(signal.SIGINT)
    elsewhere = threading.current_thread() is not threading.main_thread()
    if workers.count > 1 or elsewhere or former in (signal.SIG_IGN, None):
        yield lambda: False
        return
    pressed: list[int] = []

    def note(number: int, _: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, former)
        with contextlib.suppress(OSError):  # not print: this may have come in the middle of one
            os.write(2, b"\nending after this step; Ctrl-C again ends at once\n")

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, former)
