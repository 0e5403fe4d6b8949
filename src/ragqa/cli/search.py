"""``ragqa search``: the hits of a query, without reading an answer."""

from typing import Annotated

import typer

from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Index,
    Json,
    Overrides,
    TopK,
    asked_config,
    check_top_k,
)


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: TopK = None,
    index: Index = DEFAULT_INDEX,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
    as_json: Json = False,
) -> None:
    """Show the passages nearest to a query, with scores, document, heading and page."""
    from ragqa.cli.printing import complain, hit_lines, json_line
    from ragqa.pipeline import check_query, load_pipeline
    from ragqa.reports import hit_record
    from ragqa.types import Query

    check_top_k(top_k)
    text = check_query(query)
    with load_pipeline(index, asked_config(config, overrides), overrides) as pipeline:
        hits = pipeline.retrieve([Query(text)], top_k)[0]
        pages = [pipeline.page(hit.passage.doc_id, hit.passage.start) for hit in hits]
    if as_json:
        records = [hit_record(hit, page) for hit, page in zip(hits, pages, strict=True)]
        print(json_line({"query": text, "hits": records}))
    elif hits:
        print("\n".join(hit_lines(hits, pages)).rstrip())
    else:
        complain("nothing in the index shares a word with the query")
