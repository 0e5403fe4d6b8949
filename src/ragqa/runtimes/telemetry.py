"""OpenVINO and NNCF without their telemetry.

``import openvino`` reports itself to Google Analytics, without asking, unless the package
``openvino_telemetry`` cannot be imported; both libraries then fall back to stubs of their own. Nothing in
this project may touch a network unasked, so every import of them goes through here.
"""

import sys
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
