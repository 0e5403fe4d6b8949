"""One evaluation, of whatever kind: find its questions, ask them, list those that are left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragqa.cli.options import asked_config

if TYPE_CHECKING:
    from ragqa.cli.left_out import LeftOut
    from ragqa.evaluating import Evaluation

DEFAULT_OUTPUT = Path("evaluations")

LEFT_OUT = "left_out.txt"
"""In the folder of an evaluation: every question that could not be used, and why."""

Data = Annotated[Path, typer.Option("--data", help="Labelled questions.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many questions.")]

OWN = "kb"
"""What ``--data`` takes for the project's own question set, which asks about the folder of that name beside it."""


def questions_of(data: Path) -> Path:
    """The questions that ``--data`` means; ``kb`` are the project's own, unless a file or BEIR folder has that name.

    Raises:
        UsageError: the own questions are asked for where ragqa does not run from its repository.
    """
    from ragqa.errors import UsageError

    if str(data) != OWN or data.is_file() or (data / "corpus.jsonl").is_file():
        return data
    own = Path(__file__).resolve().parents[3] / "tests" / "kb_questions.jsonl"
    if not own.is_file():
        raise UsageError(
            "--data kb: the project's own questions are part of its repository, not of an installation",
            accepted="--data QUESTIONS.jsonl, or a checkout of the repository",
        )
    return own


def evaluated(
    data: Path,
    index: Path,
    folder: Path,
    limit: int | None,
    config: Path | None,
    overrides: list[str],
    own_passage: bool = False,
) -> "Evaluation":
    """Ask the questions and write the report."""
    from ragqa.cli.printing import show_progress
    from ragqa.evaluating import evaluate as run
    from ragqa.evaluating import write_report
    from ragqa.pipeline import load_pipeline

    data = questions_of(data)
    with (
        load_pipeline(index, asked_config(config, overrides), overrides) as pipeline,
        listed_left_out(folder) as left_out,
    ):
        finished = run(
            pipeline,
            data,
            folder,
            limit=limit,
            own_passage=own_passage,
            on_bad=left_out,
            progress=show_progress,
        )
    write_report(finished, f"{data.name} over {index}")
    return finished


@contextmanager
def listed_left_out(folder: Path) -> Iterator["LeftOut"]:
    """The questions that are left out are named, and all of them written into the folder."""
    from ragqa.cli.left_out import LeftOut

    left_out, listing = LeftOut(f"all are in {folder / LEFT_OUT}"), folder / LEFT_OUT
    yield left_out
    left_out.close()
    if left_out.reasons:
        listing.write_text("".join(f"{reason}\n" for reason in left_out.reasons), encoding="utf-8")
    else:
        listing.unlink(missing_ok=True)  # of an earlier run
