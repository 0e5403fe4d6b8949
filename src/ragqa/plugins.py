"""The folder is the registry: ``{name: X, …options}`` builds the class of ``ragqa/<kind>/X.py``.

The class is named after its file and folder: ``readers/extractive.py`` holds ``ExtractiveReader``. Only names
inside ``ragqa.<kind>`` load, so a configuration file cannot import other code.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ragqa.errors import PluginError

SUFFIX = {
    "splitters": "Splitter",
    "encoders": "Encoder",
    "stores": "Store",
    "indexes": "Index",
    "rerankers": "Reranker",
    "readers": "Reader",
    "rewriters": "Rewriter",
    "tuning": "Tuning",
    "continual": "Continual",
}
"""Kind (a folder) → last word of its classes."""


def names(kind: str) -> list[str]:
    """The plugins of a kind, without importing any of them."""
    folder = Path(__file__).parent / kind
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def summary(kind: str, name: str) -> str:
    """First line of a plugin's docstring, without importing it."""
    source = (Path(__file__).parent / kind / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def load_class(kind: str, name: str) -> type[Any]:
    """The class behind a plugin name.

    Raises:
        PluginError: no such plugin; names the plugins there are and the nearest.
    """
    known = names(kind)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise PluginError(
            f"{kind}: there is no {name!r}",
            accepted=", ".join(known),
            next_step=f"name: {near[0]}" if near else "",
        )
    class_name = "".join(part.capitalize() for part in name.split("_")) + SUFFIX[kind]
    found: type[Any] = getattr(importlib.import_module(f"ragqa.{kind}.{name}"), class_name)
    return found


def options(kind: str, name: str) -> dict[str, Any]:
    """The options of a plugin, each with its default: the keyword-only parameters of its constructor."""
    parameters = inspect.signature(load_class(kind, name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def check_options(kind: str, spec: Mapping[str, Any]) -> None:
    """Compare the options of ``spec`` with the constructor's signature; loads no model.

    Raises:
        PluginError: an option that the constructor does not take, or a value of another type.
    """
    accepted = options(kind, spec["name"])
    unknown = [key for key in spec if key != "name" and key not in accepted]
    if unknown:
        near = get_close_matches(unknown[0], accepted, n=1)
        raise PluginError(
            f"{kind}: {spec['name']} takes no option {unknown[0]!r}",
            accepted=", ".join(accepted) or "no options",
            next_step=near[0] if near else "",
        )
    types = get_type_hints(load_class(kind, spec["name"]).__init__)
    for key in spec.keys() & types.keys():
        try:
            TypeAdapter(types[key]).validate_python(spec[key], strict=True)
        except ValidationError:
            raise PluginError(
                f"{kind}: option {key} of {spec['name']} is {spec[key]!r}",
                accepted=inspect.formatannotation(types[key]),
            ) from None


def build(kind: str, spec: Mapping[str, Any], **runtime: Any) -> Any:
    """Construct the plugin that ``spec`` names.

    Options of a specification are the keyword-only parameters of the constructor; ``runtime`` holds what the
    program itself provides (a tokenizer, an encoder) and fills the ordinary parameters that the constructor has.
    """
    check_options(kind, spec)
    cls = load_class(kind, spec["name"])
    wanted = inspect.signature(cls).parameters
    chosen = {key: value for key, value in spec.items() if key != "name"}
    return cls(**{k: v for k, v in runtime.items() if k in wanted}, **chosen)
