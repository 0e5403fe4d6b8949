"""Folder → index: find what changed, read and split it, embed only new text, publish one new generation.

    discover → compare hashes → load → split → catalog → vectors + terms → publish

A generation holds ``catalog.sqlite``, ``vectors.npy`` (rows as in the catalog, for reuse by the next run),
``dense/``, ``lexical/`` and ``config.json``.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ragqa import analysis, plugins
from ragqa.catalog import Catalog, Counts, FileRecord
from ragqa.catalog_writer import CatalogWriter
from ragqa.config import Config
from ragqa.discovery import Found, Skipped, discover
from ragqa.embedding import VECTORS, Progress, write_searchers, write_vectors
from ragqa.errors import DocumentError, IndexError_, IndexMissing, UsageError
from ragqa.generations import Generation, open_generation, rebuild_command
from ragqa.isolation import LoaderProcess, Stamp, file_digest
from ragqa.manifest import check_fingerprint
from ragqa.paths import readable
from ragqa.protocols import Encoder, Splitter
from ragqa.publishing import Draft, writer_lock

CATALOG, CONFIG = "catalog.sqlite", "config.json"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of ``build_index`` did; the reasons in ``skipped`` begin with the file's name."""

    index: Path
    counts: Counts
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    embedded: int = 0
    skipped: tuple[Skipped, ...] = ()
    published: bool = True
    seconds: float = 0.0


@dataclass
class _Plan:
    """Files by what must happen to them."""

    carry: list[str] = field(default_factory=list)
    read: list[tuple[Found, bool]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def changes_anything(self) -> bool:
        return bool(self.read or self.removed)


def fingerprint(config: Config, encoder: Encoder) -> dict[str, Any]:
    """What must be equal for an index and a configuration to fit together."""
    return {
        "encoder": encoder.fingerprint,
        "analysis": analysis.VERSION,
        "splitter": config.splitter.options(),
        "store": config.store.options(),
        "lexical": config.lexical.options(),
    }


def build_index(
    paths: Sequence[Path],
    index: Path,
    config: Config,
    *,
    rebuild: bool = False,
    reembed: bool = False,
    wait_seconds: float = 0.0,
    progress: Progress = lambda stage, done, total: None,
    on_wait: Callable[[str], None] = lambda message: None,
) -> IndexReport:
    """Make ``index`` hold exactly the documents under ``paths``; only new text is embedded.

    Args:
        rebuild: ignore the present index: read and embed everything, with the present configuration.
        reembed: embed every passage anew, from the text that the index holds: for another encoder.
        wait_seconds: how long to wait for another writer.

    Raises:
        UsageError: nothing under ``paths`` can be read; the present index stays.
        IndexMismatch: the present index was made with another configuration, and ``rebuild`` is off.
        IndexError_: the index cannot be written or is locked.
    """
    started = time.monotonic()
    found = discover(paths)
    encoder: Encoder = plugins.build("encoders", config.encoder.options())
    expected = fingerprint(config, encoder)
    with ExitStack() as stack:
        stack.enter_context(writer_lock(index, wait_seconds, on_wait))
        former = None if rebuild else _open_former(index, expected, paths, stack, reembed=reembed)
        plan = _plan(found.files, former, config)
        plan.skipped += [replace(s, reason=f"{readable(s.path)}: {s.reason}") for s in found.skipped]
        unchanged = former is not None and former.config == _plain(config) and not plan.changes_anything
        if former is not None and unchanged and not reembed:
            former.generation.verify_all()  # "nothing changed" shall also mean that nothing is damaged
            counts, written = former.catalog.counts, None
        else:
            draft = stack.enter_context(Draft(index, expected))
            counts, written = _write(
                draft.folder, plan, former, config, encoder, progress, reuse_vectors=not reembed
            )
            if not counts.passages:
                raise _nothing(paths, plan.skipped)
            draft.publish(counts.as_dict())
    return IndexReport(
        index,
        counts,
        added=written.added if written else 0,
        changed=sum(known for _, known in plan.read),
        removed=len(plan.removed),
        unchanged=len(plan.carry),
        embedded=written.embedded if written else 0,
        skipped=tuple(plan.skipped),
        published=written is not None,
        seconds=time.monotonic() - started,
    )


def config_of(generation: Generation) -> dict[str, Any]:
    """The configuration that an index was made with."""
    values: dict[str, Any] = json.loads(generation.verified(CONFIG).read_text(encoding="utf-8"))
    return values


def remembered_config(index: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration that ``index`` was made with, else the defaults, with ``overrides`` on top.

    Raises:
        ConfigError: an override that does not fit.
    """
    try:
        with open_generation(index) as generation:
            values = config_of(generation)
    except IndexError_:  # none yet, or one that must be rebuilt; ``build_index`` tells which
        values = {}
    return Config.from_values(values, overrides)


@dataclass(frozen=True, slots=True)
class _Former:
    """The present index, open while the next generation is made from it."""

    generation: Generation
    catalog: Catalog
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Written:
    """New files and newly embedded texts of a generation."""

    added: int
    embedded: int


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _open_former(
    index: Path, expected: Mapping[str, Any], paths: Sequence[Path], stack: ExitStack, *, reembed: bool
) -> _Former | None:
    """The present index, closed by ``stack``; None when there is none yet. ``reembed`` allows another encoder."""
    try:
        generation = stack.enter_context(open_generation(index))
    except IndexMissing:
        return None
    encoder = {"encoder": generation.manifest.fingerprint.get("encoder")} if reembed else {}
    check_fingerprint(generation.manifest, {**expected, **encoder}, rebuild_command(index, paths))
    catalog = stack.enter_context(Catalog(generation.verified(CATALOG)))
    return _Former(generation, catalog, config_of(generation))


def _write(
    folder: Path,
    plan: _Plan,
    former: _Former | None,
    config: Config,
    encoder: Encoder,
    progress: Progress,
    *,
    reuse_vectors: bool,
) -> tuple[Counts, _Written]:
    """All files of a generation; what cannot be read is added to ``plan.skipped``."""
    counts, added = _write_catalog(folder / CATALOG, plan, former, config, encoder, progress)
    embedded = 0
    if counts.passages:
        with Catalog(folder / CATALOG) as catalog:
            known = None
            if former is not None and reuse_vectors:
                known = (former.catalog, former.generation.verified(VECTORS))
            embedded = write_vectors(folder / VECTORS, catalog, encoder, known, progress)
            write_searchers(folder, catalog, config, progress)
        (folder / CONFIG).write_text(json.dumps(_plain(config), indent=1), encoding="utf-8")
    return counts, _Written(added, embedded)


def _plan(files: Sequence[Found], former: _Former | None, config: Config) -> _Plan:
    """Compare the hash of each file with the one that the index knows.

    A file that failed is read again only when it or the limits have changed.
    """
    known = former.catalog.files() if former is not None else {}
    retry = former is not None and former.config.get("loading") != _plain(config)["loading"]
    plan = _Plan()
    for file in files:
        record = known.get(file.doc_id)
        if record is None or (retry and record.error) or record.sha256 != _hash_or_empty(file.path):
            plan.read.append((file, record is not None))
            continue
        plan.carry.append(file.doc_id)
        if record.error:
            plan.skipped.append(Skipped(file.path, record.error, in_part=record.documents > 0))
    present = {file.doc_id for file in files}
    plan.removed = sorted(known.keys() - present)
    return plan


def _hash_or_empty(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return ""  # reading it will say why


def _write_catalog(
    path: Path, plan: _Plan, former: _Former | None, config: Config, encoder: Encoder, progress: Progress
) -> tuple[Counts, int]:
    """Carry unchanged files over and read the others; returns the counts and how many files were new."""
    splitter: Splitter = plugins.build(
        "splitters", config.splitter.options(), count_tokens=encoder.count_tokens
    )
    added = 0
    with CatalogWriter(path) as writer, LoaderProcess(**config.loading.model_dump()) as loader:
        if former is not None and plan.carry:
            writer.copy_files(former.catalog, plan.carry)
        for done, (file, known) in enumerate(plan.read):
            progress("reading", done, len(plan.read))
            left_out = _add_file(writer, loader, splitter, file)
            if left_out:
                plan.skipped.append(left_out)
            added += not known and (left_out is None or left_out.in_part)
        progress("reading", len(plan.read), len(plan.read))
        return writer.finish(), added


def _add_file(
    writer: CatalogWriter, loader: LoaderProcess, splitter: Splitter, file: Found
) -> Skipped | None:
    """Read, split and store one file; returns what was left out of it, if anything."""
    before = _stamp(file.path)
    try:
        loaded = loader.read(file.path, file.doc_id)
        documents = ((document, splitter.split(document)) for document in loaded.documents)
        left_out = _listed(loaded.faults)
        record = FileRecord(
            file.doc_id, loaded.digest, loaded.stamp.size, loaded.stamp.mtime_ns, error=left_out
        )
        writer.add_file(record, documents)
    except DocumentError as fault:
        # Stored with the hash, so that an unchanged bad file is named again without being read again; a file
        # that was being written has none, and the next run reads it.
        after = _stamp(file.path)
        digest = _hash_or_empty(file.path) if after == before else ""
        writer.add_file(FileRecord(file.doc_id, digest, after.size if after else 0, 0, error=str(fault)))
        return Skipped(file.path, str(fault))
    return Skipped(file.path, left_out, in_part=True) if left_out else None


def _listed(faults: Sequence[DocumentError]) -> str:
    """The first of the faults, and how many there are."""
    more = f" (and {len(faults) - 1:,} more like it)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}" if faults else ""


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:
        return None


def _nothing(paths: Sequence[Path], skipped: Sequence[Skipped]) -> UsageError:
    where = ", ".join(map(str, paths))
    reason = f" ({len(skipped)} skipped; the first: {skipped[0].reason})" if skipped else ""
    return UsageError(
        f"no readable document under {where}{reason}",
        accepted="a folder with text, Markdown, HTML, PDF, Office, CSV, JSON Lines or EPUB files",
        next_step="ragqa index PATH with such a folder; the present index, if any, is unchanged",
    )
