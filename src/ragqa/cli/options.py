"""Options that several commands share: each has one name, one help text and one default."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ragqa.config import Config

DEFAULT_INDEX = Path("indexes/default")


def _index_folder(given: str | Path) -> Path:
    """The path of an index.

    Raises:
        UsageError: no name, or bytes that are no text, which the libraries that write an index do not take.
    """
    from ragqa.errors import UsageError
    from ragqa.paths import readable

    text = str(given)  # the default is a path already
    if not text.strip():
        raise UsageError(f"--index {text!r}", accepted="the folder of an index", next_step="--index .")
    if not text.isascii() and text != text.encode("utf-8", "replace").decode("utf-8"):
        raise UsageError(f"--index {readable(Path(text))}", accepted="a name in UTF-8")
    return Path(text)


Index = Annotated[
    Path, typer.Option("--index", metavar="FOLDER", parser=_index_folder, help="Folder of the index.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with settings; without it the defaults or the index's own."),
]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, as in fusion.dense_weight=0.7."),
]
TopK = Annotated[int | None, typer.Option("--top-k", help="How many hits to use (default: 5).")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (one a line for several questions).")
]

Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME",
        help="extractive quotes, generative writes, auto writes where both agree; short for --set reader.name=NAME.",
    ),
]
Shots = Annotated[int | None, typer.Option("--shots", min=0, max=64, help="Worked examples in the prompt.")]
Examples = Annotated[
    Path | None,
    typer.Option("--examples", help="Labelled questions; those nearest to the question are the examples."),
]

WRITES = "generative"
"""The reader that follows a prompt; what another one, which has its options under this name, writes with."""

Strict = Annotated[
    bool, typer.Option("--strict", help="Leave out the sentences of an answer that no passage bears out.")
]


def reader_overrides(
    wanted: str | None, strict: bool, index: Path, config: Path | None, overrides: list[str]
) -> list[str]:
    """``overrides`` with the reader of ``--reader`` and with ``--strict``.

    The options of a reader stay where the configuration already has that one, and go with any other.

    Raises:
        UsageError: there is no such reader.
    """
    from ragqa import plugins
    from ragqa.errors import UsageError

    known = plugins.names("readers")
    if wanted is not None and wanted not in known:
        raise UsageError(f"--reader {wanted!r}", accepted=", ".join(known))
    if wanted is None and not strict:
        return overrides
    chosen = [] if wanted in (None, _named_reader(index, config)) else [f"reader={wanted}"]
    found = [*chosen, *overrides, *([f"reader.name={wanted}"] if wanted else [])]
    # A reader that only quotes writes nothing that --strict could leave out.
    name = _named_reader(index, config, found)
    is_able = strict and name in known and "strict" in plugins.options("readers", name)
    return [*found, "reader.strict=true"] if is_able else found


def prompt_overrides(
    wanted: Mapping[str, str | int | Path | None],
    reader: str | None,
    index: Path,
    config: Path | None,
    overrides: list[str],
) -> tuple[str | None, list[str]]:
    """The reader that follows a prompt, where something is ``wanted`` of its prompt, and the settings that say it.

    Without ``--reader`` the one that the settings name follows it if it can, else the generative one does.

    Raises:
        UsageError: the reader of ``--reader`` takes no prompt.
    """
    from ragqa import plugins
    from ragqa.errors import UsageError

    asked = {name: str(value) if isinstance(value, Path) else value for name, value in wanted.items()}
    asked = {name: value for name, value in asked.items() if value is not None}
    if not asked:
        return reader, []
    able = [
        name
        for name in plugins.names("readers")
        if {"prompt", WRITES} & set(plugins.options("readers", name))
    ]
    name = reader or _named_reader(index, config, overrides)
    if name not in able:
        if reader is not None:
            raise UsageError(f"--{next(iter(asked))} with --reader {reader}", accepted=" or ".join(able))
        reader = name = WRITES
    inner = "" if "prompt" in plugins.options("readers", name) else f"{WRITES}."
    return reader, [f"reader.{inner}{key}={json.dumps(value)}" for key, value in asked.items()]


def _named_reader(index: Path, config: Path | None, overrides: Sequence[str] = ()) -> str:
    """The reader that ``--set`` names, else the file, else the index."""
    from ragqa.config import load_config
    from ragqa.indexing import remembered_config

    settings = (override.partition("=") for override in overrides)
    named = [value.strip() for key, _, value in settings if key.strip() in ("reader", "reader.name")]
    return named[-1] if named else (load_config(config) if config else remembered_config(index)).reader.name


def asked_config(config: Path | None, overrides: list[str]) -> "Config | None":
    """The configuration a question was asked with; None lets the index's own stand."""
    from ragqa.config import load_config

    return load_config(config, overrides) if config else None


def check_top_k(top_k: int | None) -> None:
    """Refuse a ``--top-k`` below 1 before anything is loaded.

    Raises:
        UsageError: it is.
    """
    from ragqa.errors import UsageError

    if top_k is not None and top_k < 1:
        raise UsageError(f"--top-k {top_k}", accepted="1 or more")
