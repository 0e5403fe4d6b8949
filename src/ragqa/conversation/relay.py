"""What a worker has to say, told in the thread that waits for it, until that one waits no more."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

Said = TypeVar("Said")
Result = TypeVar("Result")


class Stopped(Exception):
    """Nobody waits for the worker any more."""


class Relay:
    """Between one worker and the thread that waits for it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopped = Event()

    def to(self, listener: Callable[[Said], None] | None) -> Callable[[Said], None]:
        """What the worker calls in place of ``listener``; without one it still learns that it shall stop.

        Calling it raises ``Stopped`` when nobody waits any more.
        """

        def tell(said: Said) -> None:
            if self._stopped.is_set():
                raise Stopped
            if listener is not None:
                self._calls.put(partial(listener, said))

        return tell

    def wait(self, work: "Future[Result]") -> Result:
        """What ``work`` comes to; listeners are called meanwhile, here. Whatever ends the waiting stops the worker."""
        work.add_done_callback(lambda _: self._calls.put(None))
        try:
            for call in iter(self._calls.get, None):
                call()
        except BaseException:
            self._stopped.set()
            raise
        return work.result()
