"""Serve a model from OpenVINO on a CPU."""

import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ragqa.devices import choose_precision, threads
from ragqa.layout import read_layout
from ragqa.protocols import Rows, Scores
from ragqa.runtimes.batches import feed, widened
from ragqa.runtimes.compiled import compiled_folder
from ragqa.runtimes.telemetry import shared_core

_ROOM = 100
"""Positions that are kept free: a tuned prompt stands before the input, and has no more vectors."""

UNCACHED = "uncached"
"""A file of this name beside a model says that its compiled graph must not be kept (see ``convert``)."""


class OpenvinoRuntime:
    """A compiled model; ``run`` may be called from many threads at once.

    It is compiled in two shapes, each when first needed: all threads on one batch, for questions, and one
    batch for each thread, for bulk work, which needs no synchronisation inside a layer and is a fifth faster.
    """

    batch_tokens = 1024
    """Small batches keep all cores busy and hold less padding: reading takes 0.20 s a question, and 0.23 with 4096."""

    _width_step = 16
    """Batches get as wide as a multiple of this, beyond ``batch_tokens`` if need be: OpenVINO prepares its kernels anew
    for every shape that it has not met."""

    def __init__(self, kind: str, source: Path, *, precision: str = "auto") -> None:
        self.precision = choose_precision(precision, "cpu")
        self._folder = compiled_folder(kind, source, self.precision)
        self._core = shared_core()
        self._widest = read_layout(source).max_tokens - _ROOM
        self._compiled: dict[int, Any] = {}
        self._compiling = Lock()
        self._idle: list[Any] = []

    @property
    def folder(self) -> Path:
        """Where the files of the model lie."""
        return self._folder

    def run(self, batches: Sequence[tuple[Rows, Rows, Rows]]) -> list[list[Scores]]:
        """The outputs of each batch, in order."""
        streams = threads()
        if len(batches) <= streams:
            return [self._infer(batch) for batch in batches]
        return self._infer_all(batches, streams)

    def _infer(self, batch: tuple[Rows, Rows, Rows]) -> list[Scores]:
        model = self._model(1)
        # list.pop and append are atomic: a request is held by one thread at a time, and as many exist as were
        # ever needed at once.
        try:
            request = self._idle.pop()
        except IndexError:
            request = model.create_infer_request()
        request.infer(feed(model, self._widened(batch)))
        outputs = _outputs(request, batch)
        self._idle.append(request)
        return outputs

    def _infer_all(self, batches: Sequence[tuple[Rows, Rows, Rows]], streams: int) -> list[list[Scores]]:
        """Keep every stream busy; the oldest request makes room for the next batch.

        No Python callback and so no AsyncInferQueue: a queue that is freed right after ``wait_all`` can wait,
        holding the GIL, for a callback thread that wants the GIL (seen as a hang in one run of the tests).
        """
        model = self._model(streams)
        found: list[list[Scores]] = []
        busy: deque[Any] = deque()
        for batch in batches:
            request = self._finished(busy.popleft(), batches, found) if len(busy) == streams else None
            request = request or model.create_infer_request()
            request.start_async(feed(model, self._widened(batch)))
            busy.append(request)
        while busy:
            self._finished(busy.popleft(), batches, found)
        return found

    @staticmethod
    def _finished(request: Any, batches: Sequence[tuple[Rows, Rows, Rows]], found: list[list[Scores]]) -> Any:
        request.wait()
        found.append(_outputs(request, batches[len(found)]))
        return request

    def _widened(self, batch: tuple[Rows, Rows, Rows]) -> tuple[Rows, Rows, Rows]:
        wide = widened(batch, self._width_step)
        return wide if wide.ids.shape[1] <= self._widest else batch

    def _model(self, streams: int) -> Any:
        with self._compiling:
            if streams not in self._compiled:
                self._compiled[streams] = self._compile(streams)
            return self._compiled[streams]

    def _compile(self, streams: int) -> Any:
        blobs = self._folder / "blobs"
        # The compiled graph without its weights: 0.4 MB, and a cold start spends 0.08 s here, not 0.23.
        cached = {"CACHE_DIR": str(blobs), "CACHE_MODE": "OPTIMIZE_SIZE"}
        settings = {
            # What NNCF left unquantised runs in the best float type of the CPU.
            "INFERENCE_PRECISION_HINT": "f32" if self._float == "f32" else "bf16",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(threads()),
            # Pinned threads would pile up on the same cores when two processes serve.
            "ENABLE_CPU_PINNING": "NO",
            **({} if (self._folder / UNCACHED).exists() else cached),
        }
        try:
            return self._core.compile_model(str(self._folder / "model.xml"), "CPU", settings)
        except RuntimeError:
            shutil.rmtree(blobs, ignore_errors=True)  # a damaged blob; a second failure is real
            return self._core.compile_model(str(self._folder / "model.xml"), "CPU", settings)

    @property
    def _float(self) -> str:
        return choose_precision("auto", "cpu") if self.precision == "int8" else self.precision


def _outputs(request: Any, batch: tuple[Rows, Rows, Rows]) -> list[Scores]:
    """What came out, without the columns that widening added: an axis that follows the input's has no fixed length."""
    width = batch[0].shape[1]
    found = []
    for port, tensor in zip(request.model_outputs, request.output_tensors, strict=True):
        follows = len(port.partial_shape) > 1 and port.partial_shape[1].is_dynamic
        found.append(np.array(tensor.data[:, :width] if follows else tensor.data, dtype=np.float32))
    return found
