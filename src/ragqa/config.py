"""The configuration: one YAML file, checked before anything is loaded.

Precedence: flags > ``--set a.b=c`` > YAML > the defaults below. There is no hidden merging of files. A section
with a ``name`` chooses a plugin; its other keys are that plugin's options (see ``ragqa.plugins``).
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ragqa import plugins
from ragqa.errors import ConfigError, said, wanted

PLUGIN_SECTIONS = {
    "splitter": "splitters",
    "encoder": "encoders",
    "store": "stores",
    "lexical": "indexes",
    "reranker": "rerankers",
    "reader": "readers",
    "conversation.rewriter": "rewriters",
}
"""Section of the configuration, a dot before one inside another → folder of plugins."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PluginSpec(BaseModel):
    """``name`` of a plugin and its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    def options(self) -> dict[str, Any]:
        """Name and options as one mapping."""
        return self.model_dump()


class FusionConfig(_Section):
    """How the dense and the lexical leg become one ranking."""

    method: str = Field(
        "convex",
        pattern="^(convex|reciprocal_rank|none)$",
        description="convex, reciprocal_rank, or none: nothing is searched, and the reader gets no hit",
    )
    dense_weight: float = Field(0.5, ge=0, le=1, description="share of the dense leg; 0 and 1 leave one leg")
    candidates: int = Field(200, ge=1, description="hits taken from each leg before fusion")


class LoadingConfig(_Section):
    """Limits for reading one file; a file beyond them is named, skipped and counted."""

    max_seconds: float = Field(60.0, gt=0, le=86_400, description="time for one file")
    max_memory_mb: int = Field(1024, ge=128, le=1 << 20, description="memory of the process that reads files")
    max_file_mb: int = Field(256, ge=1, le=1 << 20, description="largest file that is read")


class ConversationConfig(_Section):
    """How ``ragqa chat`` understands questions that lean on earlier ones."""

    rewriter: PluginSpec = Field(
        PluginSpec(name="rules"), description="follow-up → question that stands alone"
    )
    turns: int = Field(6, ge=1, description="earlier turns that a follow-up may point back to")


class Config(_Section):
    """All settings of indexing and asking."""

    splitter: PluginSpec = Field(PluginSpec(name="headings"), description="document → passages")
    encoder: PluginSpec = Field(PluginSpec(name="sentence_transformer"), description="text → vectors")
    store: PluginSpec = Field(PluginSpec(name="faiss"), description="vectors → nearest passages")
    lexical: PluginSpec = Field(PluginSpec(name="bm25"), description="terms → best passages")
    fusion: FusionConfig = Field(FusionConfig(), description="two rankings → one")
    reranker: PluginSpec = Field(PluginSpec(name="none"), description="hits → better hits")
    reader: PluginSpec = Field(PluginSpec(name="extractive"), description="query and hits → answer")
    conversation: ConversationConfig = Field(ConversationConfig(), description="questions that follow others")
    loading: LoadingConfig = Field(LoadingConfig(), description="limits for reading one file")
    top_k: int = Field(5, ge=1, description="hits that the reader sees")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, values: Any) -> Any:
        """``reader: extractive`` is short for ``reader: {name: extractive}``; options alone keep the default name."""
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for section in PLUGIN_SECTIONS:
            outer, _, inner = section.rpartition(".")
            place = filled.get(outer) if outer else filled
            if isinstance(place, Mapping) and inner in place:
                named = {**place, inner: _named(place[inner], _spec(cls, section).name)}
                filled = {**filled, outer: named} if outer else named
        return filled

    @classmethod
    def from_values(
        cls, values: Mapping[str, Any], overrides: Sequence[str] = (), origin: str = ""
    ) -> "Config":
        """Check ``values`` with ``a.b=c`` overrides on top, the options of each plugin included.

        Raises:
            ConfigError: an unknown key or a value out of range; says which, where and what is accepted.
        """
        merged = dict(values)
        for override in overrides:
            _set(merged, override)
        try:
            config = cls.model_validate(merged)
        except ValidationError as fault:
            raise explained(fault, cls, origin, "docs/config.md lists each setting") from None
        for section, kind in PLUGIN_SECTIONS.items():
            plugins.check_options(kind, _spec(config, section).options())
        return config


def _named(value: Any, default: str) -> Any:
    """A plugin's section with its name."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and "name" not in value:
        return {"name": default, **value}
    return value


def _spec(config: Config | type[Config], section: str) -> PluginSpec:
    """The plugin of a section, in a configuration or, given the class, in the defaults."""
    value: Any = config if isinstance(config, Config) else config()
    for key in section.split("."):
        value = getattr(value, key)
    spec: PluginSpec = value
    return spec


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The configuration of ``path`` (defaults alone when None) with ``a.b=c`` overrides on top.

    Raises:
        ConfigError: unreadable YAML, an unknown key or a value out of range.
    """
    return Config.from_values(_read_yaml(path) if path else {}, overrides, f" in {path}" if path else "")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as fault:
        reason = " ".join(str(fault).split())
        raise ConfigError(
            f"cannot read the configuration {path}: {reason}", accepted="a YAML file"
        ) from fault
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}", accepted="a YAML mapping of sections")
    return values


def _set(values: dict[str, Any], override: str) -> None:
    path, sign, text = override.partition("=")
    keys = path.strip().split(".")
    if not sign or not all(keys):
        raise ConfigError(
            f"--set {override!r}", accepted="section.key=value, for example fusion.dense_weight=0.7"
        )
    place = values
    for key in keys[:-1]:
        inner = place.get(key)
        if isinstance(inner, str):  # `reader: extractive` grows options
            inner = {"name": inner}
        elif inner is not None and not isinstance(inner, Mapping):
            raise ConfigError(f"--set {override!r}: {key} is {inner!r}", accepted=f"{key}=value")
        place[key] = place = dict(inner or {})
    try:
        place[keys[-1]] = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as fault:
        raise ConfigError(
            f"--set {override[:80]!r}: the value is not YAML", accepted="a number, word or list"
        ) from fault


def explained(
    fault: ValidationError, kind: type[BaseModel], origin: str, listed: str, *, inside: str = ""
) -> ConfigError:
    """The first of what does not fit into settings of this ``kind``, as one line.

    Args:
        origin: where the settings come from, " in FILE", or nothing.
        listed: where each is described.
        inside: the section that all of them stand in, or nothing.
    """
    first = fault.errors()[0]
    section: type[BaseModel] | None = kind
    keys, accepted = list[str](), kind.model_fields
    for key in map(str, first["loc"]):
        if section is None:  # what follows counts places in a list, or tells the branches of a union apart
            break
        keys.append(key)
        accepted = section.model_fields
        section = _section_in(accepted[key].annotation) if key in accepted else None
    where = ".".join([inside, *keys] if inside else keys)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], accepted, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return ConfigError(f"unknown setting {where}{origin}{hint}", accepted=", ".join(accepted))
    found = f"{where or 'the configuration'} = {first['input']!r}{origin}"
    if (fitting := wanted(first)) is not None:
        return ConfigError(found, accepted=fitting, next_step=listed)
    return ConfigError(f"{found}: {said(first)}" if where else f"{said(first)}{origin}", next_step=listed)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, which may be left out."""
    return next(
        (
            one
            for one in (annotation, *get_args(annotation))
            if isinstance(one, type) and issubclass(one, BaseModel)
        ),
        None,
    )
