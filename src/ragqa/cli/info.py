"""``ragqa info``: what is in an index."""

import typer

from ragqa.cli.options import DEFAULT_INDEX, Index, Json


def info(index: Index = DEFAULT_INDEX, as_json: Json = False) -> None:
    """Show what an index holds and how it was made; checks every checksum."""
    from ragqa.catalog import Catalog
    from ragqa.cli.printing import json_line, plain
    from ragqa.generations import open_generation
    from ragqa.indexing import CATALOG

    with open_generation(index) as generation:
        generation.verify_all()
        with Catalog(generation.verified(CATALOG)) as catalog:
            files = catalog.files()
            counts = catalog.counts
        manifest = generation.manifest
        record = {
            "index": str(index),
            "generation": generation.name,
            "created": manifest.created,
            **counts.as_dict(),
            "bytes": manifest.total_bytes,
            "fingerprint": dict(manifest.fingerprint),
            "skipped_files": {f.path: f.error for f in files.values() if f.error and not f.documents},
            "read_in_part": {f.path: f.error for f in files.values() if f.error and f.documents},
        }
    if as_json:
        print(json_line(record))
        return
    typer.echo(f"{index}: generation {generation.name}, made {manifest.created}, every checksum right")
    typer.echo(f"  documents   {counts.documents:,} in {counts.files - counts.skipped:,} files")
    typer.echo(f"  passages    {counts.passages:,}")
    typer.echo(f"  characters  {counts.characters:,}")
    typer.echo(f"  size        {manifest.total_bytes / 1e6:,.1f} MB")
    for name, value in manifest.fingerprint.items():
        typer.echo(f"  {name:<11} {_shown(value)}")
    for file in files.values():
        if file.error:
            typer.echo(f"  {'in part' if file.documents else 'skipped':<11} {plain(file.error)}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join([str(value.get("name", "")), *(f"{k}={v}" for k, v in value.items() if k != "name")])
    return str(value)
