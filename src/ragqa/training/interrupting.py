"""Ctrl-C while a model trains: the step ends first, so that what is kept is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ragqa.training.workers import Workers


@contextmanager
def asked_to_stop(workers: Workers) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since; a second one interrupts at once.

    So does the first for one of several processes: the others would wait for its part of the next step.
    """
    if workers.count > 1 or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed: list[int] = []
    former = signal.getsignal(signal.SIGINT)

    def note(number: int, _: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, former)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, former)
