"""What a YAML file or flags say of a run → its settings, or one line about the first that does not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ragqa.errors import ConfigError
from ragqa.training.settings import Described

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
    return run_of(kind, {**values, **given} if given and isinstance(values, dict) else values, str(path))


def run_of(kind: type[RunType], values: Any, source: str) -> RunType:
    """The run of that ``kind`` with these settings, which come from ``source``.

    Raises:
        ConfigError: a setting that does not fit.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        where, said = ".".join(map(str, first["loc"])) or "the file", first["msg"]
        wanted = said.removeprefix("Input should be ")
        if wanted != said:
            raise ConfigError(f"{source}: {where} is {first['input']!r}", accepted=wanted) from None
        raise ConfigError(f"{source}: {where}: {said}", accepted=", ".join(kind.model_fields)) from None
