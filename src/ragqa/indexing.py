"""Folder → index: find what changed, read and split it, embed only new text, publish one new generation.

    discover → compare hashes → load → split → catalog → vectors + terms → publish

A generation holds ``catalog.sqlite``, ``vectors.npy`` (rows as in the catalog, for reuse by the next run),
``dense/``, ``lexical/`` and ``config.json``.
"""

import json
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragqa import analysis, plugins
from ragqa.catalog import Catalog, Counts, FileRecord
from ragqa.catalog_writer import CatalogWriter
from ragqa.config import Config
from ragqa.discovery import Found, Skipped, discover
from ragqa.errors import DocumentError, IndexError_, IndexMissing, UsageError
from ragqa.generations import Generation, open_generation
from ragqa.isolation import LoaderProcess, Stamp, file_digest
from ragqa.manifest import check_fingerprint
from ragqa.paths import readable
from ragqa.protocols import Encoder, Rows, Splitter, TermIndex, VectorStore
from ragqa.publishing import Draft, writer_lock

CATALOG, VECTORS, DENSE, LEXICAL, CONFIG = "catalog.sqlite", "vectors.npy", "dense", "lexical", "config.json"

Progress = Callable[[str, int, int], None]
"""Called with the stage ("reading", "embedding"), how much is done and how much there is."""

_ENCODE_ROWS = 2048


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
    wait_seconds: float = 0.0,
    progress: Progress = lambda stage, done, total: None,
    on_wait: Callable[[str], None] = lambda message: None,
) -> IndexReport:
    """Make ``index`` hold exactly the documents under ``paths``; only new text is embedded.

    Args:
        rebuild: ignore the present index: read and embed everything, with the present configuration.
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
        former = None if rebuild else _former(index, expected, paths)
        old = None
        if former is not None:
            stack.enter_context(former)
            old = stack.enter_context(Catalog(former.verified(CATALOG)))
        plan = _plan(found.files, old, former is not None and _other_limits(former, config))
        skipped = [replace(s, reason=f"{readable(s.path)}: {s.reason}") for s in found.skipped] + plan.skipped
        if former is not None and old is not None and not plan.changes_anything:
            return IndexReport(
                index,
                old.counts,
                unchanged=len(plan.carry),
                skipped=tuple(skipped),
                published=False,
                seconds=time.monotonic() - started,
            )
        draft = stack.enter_context(Draft(index, expected))
        counts, failed, added = _write_catalog(draft.folder / CATALOG, plan, old, config, encoder, progress)
        skipped += failed
        if not counts.passages:
            raise _nothing(paths, skipped)
        with Catalog(draft.folder / CATALOG) as catalog:
            embedded = _write_vectors(draft.folder / VECTORS, catalog, encoder, former, old, progress)
            _write_searchers(draft.folder, catalog, config, progress)
        (draft.folder / CONFIG).write_text(
            json.dumps(config.model_dump(mode="json"), indent=1), encoding="utf-8"
        )
        draft.publish(counts.as_dict())
    return IndexReport(
        index,
        counts,
        added=added,
        changed=sum(known for _, known in plan.read),
        removed=len(plan.removed),
        unchanged=len(plan.carry),
        embedded=embedded,
        skipped=tuple(skipped),
        seconds=time.monotonic() - started,
    )


def _former(index: Path, expected: Mapping[str, Any], paths: Sequence[Path]) -> Generation | None:
    try:
        generation = open_generation(index)
    except IndexMissing:
        return None
    try:
        command = shlex.join(["ragqa", "index", "--rebuild", *map(str, paths), "--index", str(index)])
        check_fingerprint(generation.manifest, expected, command)
    except IndexError_:
        generation.close()
        raise
    return generation


def _other_limits(former: Generation, config: Config) -> bool:
    """Whether files were read under other limits when ``former`` was made: some that failed may pass now."""
    stored = json.loads(former.verified(CONFIG).read_text(encoding="utf-8"))
    return bool(stored.get("loading") != config.loading.model_dump(mode="json"))


def _plan(files: Sequence[Found], old: Catalog | None, retry: bool) -> _Plan:
    """Compare the hash of each file with the one that the index knows; ``retry`` reads failed files again."""
    known = old.files() if old is not None else {}
    plan = _Plan()
    for file in files:
        record = known.get(file.doc_id)
        if record is None or (retry and record.error) or record.sha256 != _hash_or_empty(file.path):
            plan.read.append((file, record is not None))
            continue
        plan.carry.append(file.doc_id)
        if record.error:
            plan.skipped.append(Skipped(file.path, record.error))
    present = {file.doc_id for file in files}
    plan.removed = sorted(known.keys() - present)
    return plan


def _hash_or_empty(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return ""  # reading it will say why


def _write_catalog(
    path: Path, plan: _Plan, old: Catalog | None, config: Config, encoder: Encoder, progress: Progress
) -> tuple[Counts, list[Skipped], int]:
    """Carry unchanged files over and read the others; returns counts, what failed and how many were new."""
    splitter: Splitter = plugins.build(
        "splitters", config.splitter.options(), count_tokens=encoder.count_tokens
    )
    failed: list[Skipped] = []
    added = 0
    limits = config.loading.model_dump()
    with CatalogWriter(path) as writer, LoaderProcess(**limits) as loader:
        if old is not None and plan.carry:
            writer.copy_files(old, plan.carry)
        for done, (file, known) in enumerate(plan.read):
            progress("reading", done, len(plan.read))
            reason = _add_file(writer, loader, splitter, file)
            if reason:
                failed.append(Skipped(file.path, reason))
            elif not known:
                added += 1
        progress("reading", len(plan.read), len(plan.read))
        return writer.finish(), failed, added


def _add_file(writer: CatalogWriter, loader: LoaderProcess, splitter: Splitter, file: Found) -> str:
    """Read, split and store one file; returns why it was skipped, or an empty string."""
    before = _stamp(file.path)
    try:
        loaded = loader.read(file.path, file.doc_id)
        documents = ((document, splitter.split(document)) for document in loaded.documents)
        record = FileRecord(file.doc_id, loaded.digest, loaded.stamp.size, loaded.stamp.mtime_ns)
        writer.add_file(record, documents)
    except DocumentError as fault:
        # Stored with the hash, so that an unchanged bad file is named again without being read again; a file
        # that was being written has none, and the next run reads it.
        after = _stamp(file.path)
        digest = _hash_or_empty(file.path) if after == before else ""
        writer.add_file(FileRecord(file.doc_id, digest, after.size if after else 0, 0, error=str(fault)))
        return str(fault)
    return ""


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


def _write_vectors(
    path: Path,
    catalog: Catalog,
    encoder: Encoder,
    former: Generation | None,
    old: Catalog | None,
    progress: Progress,
) -> int:
    """Vectors of all passages in row order: reused where the text is known, else encoded. Returns how many were."""
    vectors = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(len(catalog), encoder.dimension)
    )
    missing = np.arange(len(catalog))
    if former is not None and old is not None:
        stored = np.load(former.verified(VECTORS), mmap_mode="r")
        places = catalog.rows_in(old)
        known = np.flatnonzero(places >= 0)
        for block in _blocks(known, 16 * _ENCODE_ROWS):
            vectors[block] = stored[places[block]]
        missing = np.flatnonzero(places < 0)
    # Equal texts are embedded once: ``owners`` lists, text by text, the rows that hold it.
    _, first, texts = np.unique(catalog.digests()[missing], return_index=True, return_inverse=True)
    owners = missing[np.argsort(texts, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(texts, minlength=len(first)))])
    for block in _blocks(np.arange(len(first)), _ENCODE_ROWS):
        progress("embedding", int(block[0]), len(first))
        passages = catalog.passages(missing[first[block]].tolist())
        encoded = encoder.encode_passages([p.titled_text for p in passages])
        copies = np.diff(bounds)[block]
        vectors[owners[bounds[block[0]] : bounds[block[-1] + 1]]] = np.repeat(encoded, copies, axis=0)
    progress("embedding", len(first), len(first))
    vectors.flush()
    return len(first)


def _blocks(rows: Rows, size: int) -> Iterable[Rows]:
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _write_searchers(folder: Path, catalog: Catalog, config: Config, progress: Progress) -> None:
    progress("searching structures", 0, 2)
    store: VectorStore = plugins.build("stores", config.store.options())
    store.add(np.load(folder / VECTORS, mmap_mode="r"))
    (folder / DENSE).mkdir()
    store.save(folder / DENSE)
    del store
    progress("searching structures", 1, 2)
    lexical: TermIndex = plugins.build("indexes", config.lexical.options())
    lexical.add([analysis.terms(p.titled_text) for p in catalog.all_passages()])
    (folder / LEXICAL).mkdir()
    lexical.save(folder / LEXICAL)
    progress("searching structures", 2, 2)
