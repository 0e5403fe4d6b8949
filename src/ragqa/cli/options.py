"""Options that several commands share: each has one name, one help text and one default."""

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
