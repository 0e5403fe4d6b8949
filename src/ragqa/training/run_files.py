"""What a YAML file or flags say of a run → its settings, or one line about the first that does not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ragqa.config import explained
from ragqa.errors import ConfigError
from ragqa.training.settings import LISTED, ORIGIN, Described

RunType = TypeVar("RunType", bound=Described)


def load_run(path: Path, kind: type[RunType], given: Mapping[str, Any] | None = None) -> RunType:
    """The run of that ``kind`` that a YAML file describes, with ``given`` settings in the place of its own.

    Raises:
        ConfigError: unreadable, or a setting that does not fit.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise ConfigError(
            f"cannot read {path}: {' '.join(str(fault).split())}", accepted="a YAML file"
        ) from fault
    if not isinstance(values, dict):
        held = "nothing" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{path} holds {held}", accepted="a YAML mapping of settings", next_step=LISTED)
    return run_of(kind, {**values, **(given or {})}, f" in {path}")


def run_of(kind: type[RunType], values: Mapping[str, Any], origin: str = "") -> RunType:
    """The run of that ``kind`` with these settings; ``origin`` is " in FILE", or nothing.

    Raises:
        ConfigError: a setting that does not fit.
    """
    try:
        return kind.model_validate(values, context={ORIGIN: origin})
    except ValidationError as fault:
        raise explained(fault, kind, origin, LISTED) from None
