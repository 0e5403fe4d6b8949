"""OpenVINO and NNCF without their telemetry, and one core for all models.

``import openvino`` reports itself to Google Analytics, without asking, unless the package
``openvino_telemetry`` cannot be imported; both libraries then fall back to stubs of their own. Nothing in
this project may touch a network unasked, so every import of them goes through here.
"""

import sys
from functools import cache
from types import ModuleType
from typing import Any, cast

_BLOCKED = cast(ModuleType, None)  # what Python's import system reads as "this module does not exist"


def forbid() -> None:
    """Make ``openvino_telemetry`` unimportable in this process."""
    sys.modules.setdefault("openvino_telemetry", _BLOCKED)


def load_openvino() -> Any:
    """The module ``openvino``."""
    forbid()
    import openvino

    return openvino


@cache
def shared_core() -> Any:
    """The one ``openvino.Core`` of this process, which is never let go.

    A core gives its thread another stack for signals and, when it goes, the stack from before it. Of two cores that go
    in the order in which they came, the second gives back the first one's, which is no more: the next signal, Ctrl-C
    for one, ends the process without a word (seen with OpenVINO 2026.4).
    """
    return load_openvino().Core()
