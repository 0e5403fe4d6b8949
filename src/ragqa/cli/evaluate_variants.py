"""``ragqa eval baselines`` and ``prompts``: the same questions asked several ways, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragqa.cli.evaluate_once import DEFAULT_OUTPUT, Data, Limit, evaluated
from ragqa.cli.options import (
    DEFAULT_INDEX,
    ConfigFile,
    Examples,
    Index,
    Overrides,
    Shots,
    asked_config,
    prompt_overrides,
)

if TYPE_CHECKING:
    from ragqa.config import Config
    from ragqa.evaluating import Evaluation

RERANKED = "hybrid, reranked"
NO_RETRIEVAL = "no retrieval"
BASELINES = {
    NO_RETRIEVAL: ("fusion.method=none", "reranker=none"),
    "BM25 alone": ("fusion.method=convex", "fusion.dense_weight=0", "reranker=none"),
    "dense alone": ("fusion.method=convex", "fusion.dense_weight=1", "reranker=none"),
    "hybrid": ("reranker=none",),
    RERANKED: ("reranker=cross_encoder",),
}
"""What `eval baselines` runs, and how each differs from the configuration; see ``settings_of_baseline``."""

COLUMNS = ("recall@1", "recall@5", "nDCG@10", "exact match", "F1", "right")


def settings_of_baseline(name: str, config: "Config") -> tuple[str, ...]:
    """What a baseline sets on top of a configuration.

    The configuration's own reranker is taken, if it names one. Without retrieval a reader that can answer from the
    question alone does so; the others refuse.
    """
    from ragqa.plugins import options

    if name == RERANKED and config.reranker.name != "none":
        return ()
    closed = name == NO_RETRIEVAL and "closed_book" in options("readers", config.reader.name)
    return (*BASELINES[name], *(("reader.closed_book=true",) if closed else ()))


def baselines(
    data: Data,
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder of the evaluations (default: evaluations/NAME_baselines)."),
    ] = None,
    limit: Limit = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Evaluate the reader without retrieval, BM25 alone, dense alone, the hybrid and the hybrid reranked; one table."""
    from ragqa.cli.printing import complain
    from ragqa.errors import ModelError
    from ragqa.indexing import remembered_config

    asked = asked_config(config, overrides)
    own = remembered_config(index, overrides) if asked is None else asked
    folder = output or DEFAULT_OUTPUT / f"{data.stem}_baselines"
    print(f"{'':18}" + "".join(f"{name:>13}" for name in COLUMNS))
    for name in BASELINES:
        settings = settings_of_baseline(name, own)
        place = folder / name.replace(",", "").replace(" ", "_").lower()
        try:
            finished = evaluated(data, index, place, limit, config, [*overrides, *settings])
        except ModelError as fault:
            complain(f"{name}: {fault}")
            continue
        means = _means(finished)
        print(f"{name:18}" + "".join(f"{means[c]:13.3f}" if c in means else f"{'–':>13}" for c in COLUMNS))


def prompts(
    data: Data,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            help="A template by name or as a Jinja file; several times for several. The first is what the others are "
            "compared with. (default: zero_shot, few_shot, only_passages)",
            show_default=False,
        ),
    ] = None,
    shots: Shots = None,
    examples: Examples = None,
    index: Index = DEFAULT_INDEX,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder of the evaluations (default: evaluations/NAME_prompts)."),
    ] = None,
    limit: Limit = None,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006 (typer reads it)
) -> None:
    """Ask the same questions with several templates of prompts; one table, with the differences to the first.

    Worked examples (--shots, --examples) go to the templates that have a place for them.
    """
    from ragqa.evaluation.comparing import compare
    from ragqa.templates import Template

    chosen = list(dict.fromkeys(prompt or PROMPTS))
    # All are checked before one is asked.
    shown = {name: "shots" in Template(name, "en").used for name in chosen}
    folder = output or DEFAULT_OUTPUT / f"{data.stem}_prompts"
    width = max(map(len, chosen))
    print(
        f"{'':{width}}" + "".join(f"{name:>15}" for name in PROMPT_COLUMNS) + "  F1 beside the first (95 %)"
    )
    first: Evaluation | None = None
    for name in chosen:
        more = {"shots": shots, "examples": examples} if shown[name] else {}
        reader, settings = prompt_overrides({"prompt": name, **more}, None, index, config, overrides)
        settings = [*([f"reader={reader}"] if reader else []), *overrides, *settings]
        finished = evaluated(data, index, folder / Path(name).stem, limit, config, settings)
        change = None if first is None else compare(first.records, finished.records).measures.get("F1")
        told = "" if change is None else f"  {change.difference.told()}  p = {change.difference.p:.4f}"
        print(f"{name:{width}}" + _prompt_cells(finished) + told, flush=True)
        first = first or finished
    print(f"\n{folder}/")


PROMPTS = ("zero_shot", "few_shot", "only_passages")
PROMPT_COLUMNS = ("exact match", "F1", "right", "tokens, mean", "reading, ms")


def _prompt_cells(finished: "Evaluation") -> str:
    """A row under ``PROMPT_COLUMNS``; the time is the median of questions asked one by one."""
    means = _means(finished)
    tokens = [record["prompt tokens"] for record in finished.records if "prompt tokens" in record]
    cells = [f"{means[name]:.3f}" if name in means else "–" for name in PROMPT_COLUMNS[:3]]
    cells.append(f"{sum(tokens) / len(tokens):.0f}" if tokens else "–")
    cells.append(f"{finished.speed['milliseconds']['read']['p50']:.0f}")
    return "".join(f"{cell:>15}" for cell in cells)


def _means(finished: "Evaluation") -> dict[str, float]:
    from ragqa.evaluation.scores import question_scores

    return {
        name: sum(found.values()) / len(found)
        for name, found in question_scores(finished.records).items()
        if found
    }
