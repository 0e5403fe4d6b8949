"""Model + ids → arrays. One interface; OpenVINO serves CPUs, torch serves GPUs.

Only ``torch.py``, ``networks.py`` and the child process ``convert.py`` import torch.
"""

from importlib.util import find_spec
from pathlib import Path

from ragqa.devices import choose_device, choose_precision
from ragqa.protocols import Runtime


def open_runtime(kind: str, source: Path, precision: str = "auto", device: str = "auto") -> Runtime:
    """The runtime for this machine.

    ``kind`` is "encoder", "span", "pair" or "choice"; ``source`` is the folder of the weights; see ``devices`` for the
    names of precisions and devices.

    Raises:
        ConfigError: a precision or device that this machine does not have.
        ModelError: weights that are missing, damaged or of another kind.
    """
    target = choose_device(device)
    chosen = choose_precision(precision, target)
    if target == "cuda" or not find_spec("openvino"):
        from ragqa.runtimes.torch import TorchRuntime

        return TorchRuntime(kind, source, precision=chosen, device=target)
    from ragqa.runtimes.openvino import OpenvinoRuntime

    return OpenvinoRuntime(kind, source, precision=chosen)
