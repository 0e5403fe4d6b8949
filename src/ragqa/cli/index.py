"""``ragqa index``: make an index hold exactly the documents under the given paths."""

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ragqa.cli.options import DEFAULT_INDEX, ConfigFile, Index, Overrides

SKIPPED = 4
"""Exit code when the index was made but files, or parts of files, had to be left out."""


def index(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files to index.")],
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Read and embed everything again.")] = False,
    reembed: Annotated[
        bool, typer.Option("--reembed", help="Embed every passage again, from the text in the index.")
    ] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another indexer.")] = 0.0,
) -> None:
    """Index documents; a later run reads and embeds only what changed, with the settings of the first."""
    from ragqa.cli.printing import complain
    from ragqa.config import load_config
    from ragqa.errors import IndexMismatch
    from ragqa.generations import rebuild_command
    from ragqa.indexing import build_index, remembered_config

    settings = load_config(config, overrides) if config else remembered_config(index, overrides)
    try:
        report = build_index(
            paths,
            index,
            settings,
            rebuild=rebuild,
            reembed=reembed,
            wait_seconds=wait,
            progress=_progress(),
            on_wait=complain,
        )
    except IndexMismatch as fault:
        chosen = ["--config", str(config)] if config else []
        chosen += [word for override in overrides for word in ("--set", override)]
        command = " ".join([rebuild_command(index, paths), *map(shlex.quote, chosen)])
        raise IndexMismatch(fault.found, accepted=fault.accepted, next_step=command) from None
    broken = [s for s in report.skipped if not s.expected]
    for skipped in broken:
        complain(f"{'read in part' if skipped.in_part else 'skipped'} {skipped.reason}")
    in_part = sum(s.in_part for s in broken)
    counts = report.counts
    changes = f"{report.added} added, {report.changed} changed, {report.removed} removed"
    if not report.published:
        changes = "nothing changed"
    complain(
        f"{report.index}: {counts.documents:,} documents, {counts.passages:,} passages ({changes}; "
        f"{report.embedded:,} texts embedded), {report.seconds:.1f} s, {len(broken) - in_part} skipped"
        + (f", {in_part} read in part" if in_part else "")
    )
    if broken:
        raise typer.Exit(SKIPPED)


def _progress() -> Callable[[str, int, int], None]:
    """A bar on stderr for terminals, shown once the work has taken a second."""
    started = time.monotonic()
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    shown = ""

    def show(stage: str, done: int, total: int) -> None:
        nonlocal shown
        if not terminal or time.monotonic() - started < 1:
            return
        share = done / total if total else 1.0
        bar = "█" * round(24 * share) + "░" * (24 - round(24 * share))
        line = f"{stage:<21} {bar} {done:,}/{total:,}"
        sys.stderr.write(
            "\r" + line.ljust(len(shown)) + ("\r" + " " * len(line) + "\r" if done >= total else "")
        )
        sys.stderr.flush()
        shown = "" if done >= total else line

    return show
