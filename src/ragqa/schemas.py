"""A JSON Schema of the user, and what a model wrote for it: read, checked, and told why it does not fit.

The schema is checked itself when it is read. It may point to its own parts; nothing is fetched from anywhere else.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from ragqa.errors import ConfigError

_LONGEST = 300
"""Characters of a reason: it stands in a prompt and on a line."""


class NotValid(Exception):
    """What was written is no JSON, or does not fit; the message says why."""


class Schema:
    """One JSON Schema.

    Attributes:
        text: of one line, as a prompt shows it.

    Raises:
        ConfigError: the file cannot be read, or holds no JSON Schema.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        schema = _read(path)
        kind = validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as fault:
            raise ConfigError(
                f"the schema {path} at {fault.json_path}: {_short(fault.message)}", accepted="a JSON Schema"
            ) from None
        # A registry of its own: the library's default one would fetch what the schema points to.
        self._validator: Validator = kind(schema, registry=EMPTY_REGISTRY)
        self._refuse_foreign(schema)
        self.text = compact(schema)

    def parse(self, written: str) -> Any:
        """The value that was written, which fits the schema.

        Raises:
            NotValid: it does not, or is none.
        """
        value = _value(written)
        try:
            fault = best_match(self._validator.iter_errors(value))
        except Unresolvable as missing:
            raise ConfigError(
                f"the schema {self._path} points to {missing}, which it does not hold",
                accepted="a whole schema",
            ) from None
        except RecursionError:
            raise NotValid("it is nested too deeply") from None
        if fault is not None:
            raise NotValid(f"{fault.json_path}: {_short(fault.message)}")
        return value

    def _refuse_foreign(self, schema: Any) -> None:
        for target in _references(schema):
            if not target.startswith("#"):
                raise ConfigError(
                    f"the schema {self._path} points to {target!r}",
                    accepted="references within the file, as in #/$defs/name",
                )


def compact(value: Any) -> str:
    """A JSON value as one line without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def leaves(value: Any, place: str = "$") -> Iterator[tuple[str, str | int | float]]:
    """Every string and number in a JSON value, with its place as a JSON path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{place}[{number}]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield place, value


def _read(path: Path) -> Any:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigError(
            f"the schema {path} cannot be read: {reason}", accepted="a file with a JSON Schema"
        ) from None
    if not isinstance(schema, dict):
        raise ConfigError(f"the schema {path} is no object", accepted='a JSON Schema, as {"type": "object"}')
    return schema


def _references(schema: Any) -> Iterator[str]:
    inner: list[Any] = list(schema.values()) if isinstance(schema, dict) else []
    if isinstance(schema, list):
        inner = schema
    if isinstance(schema, dict):
        yield from (schema[key] for key in ("$ref", "$dynamicRef") if isinstance(schema.get(key), str))
    for one in inner:
        yield from _references(one)


def _value(written: str) -> Any:
    """The JSON value in a text: all of it, or what stands in a block of code or begins with the first bracket."""
    block = re.search(r"```(?:json)?\s*\n(.*?)```", written, re.DOTALL)
    text = (block[1] if block else written).strip()
    decoder = json.JSONDecoder(parse_constant=_refuse)
    start = re.search(r"[{\[]", text)
    try:
        try:
            value, end = decoder.raw_decode(text)
            if text[end:].strip() == "":
                return value
        except ValueError:
            if start is None:
                raise
        if start is None:
            raise ValueError("more than one value")
        return decoder.raw_decode(text, start.start())[0]
    except RecursionError:
        raise NotValid("it is nested too deeply") from None
    except ValueError as fault:
        raise NotValid(f"it is no JSON: {_short(str(fault))}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
