"""A file of JSON Lines → examples: each bad line is named by its number, and the others are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ragqa.data.faults import OnBad, whole
from ragqa.errors import DataError, said, wanted
from ragqa.types import Example

Model = TypeVar("Model", bound=BaseModel)


def load_lines(path: Path, make: Callable[[str, int], Example], on_bad: OnBad) -> list[Example]:
    """Every line of the file that is not blank, in its order.

    Args:
        make: a line and its number → an example, or a ``DataError`` that says what is wrong with the line.
        on_bad: is told of each line that does not fit, by number and reason; such a line is left out.

    Raises:
        DataError: the file cannot be read, or a bad line, unless ``on_bad`` accepts it.
    """
    found = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        found.append(whole(make(line, number)))
                    except DataError as fault:
                        on_bad(DataError(f"{path} line {number}: {fault.found}", accepted=fault.accepted))
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read: {fault}", accepted="UTF-8 JSON Lines") from fault
    return found


def record(kind: type[Model], line: str) -> Model:
    """The record of that ``kind`` on a line.

    Raises:
        DataError: the line is no JSON object, or a field does not fit.
    """
    try:
        value: Any = json.loads(line)
        if not isinstance(value, dict):
            raise ValueError("a value of another kind")
        return kind.model_validate(value)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        if (fitting := wanted(first)) is not None:
            raise DataError(f"{where} = {repr(first['input'])[:60]}", accepted=fitting) from None
        raise DataError(f"{where}: {said(first)}", accepted=", ".join(kind.model_fields)) from None
    except ValueError as fault:
        raise DataError(f"is no JSON object ({fault})", accepted="one JSON object a line") from None
