"""The folder of an evaluation: which one it holds, and the records in it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ragqa import backbone, pretrained
from ragqa.config import Config
from ragqa.errors import UsageError
from ragqa.pipeline import Pipeline

T = TypeVar("T")

RECORDS, SETTINGS = "per_question.jsonl", "settings.json"
EVAL, ROBUSTNESS = "eval", "robustness"
"""The kinds of evaluation, as their settings name them."""

FORM = 2
"""What a record holds: another number with every change, so that a run of earlier records is not gone on with."""


def settings_of(kind: str, pipeline: Pipeline, questions: Path, asked: int) -> dict[str, Any]:
    """What decides an evaluation: of the same settings come the same records."""
    return {
        "kind": kind,
        "records": FORM,
        "index": pipeline.retriever.generation.manifest.created,
        "config": pipeline.config.model_dump(mode="json"),
        "models": _digests(pipeline.config),
        "questions": backbone.content_digest([questions]),
        "asked": asked,
    }


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder that of an evaluation with these settings, if it is not so already.

    Raises:
        UsageError: it holds another evaluation, or records of nobody knows which.
    """
    path = folder / SETTINGS
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        found = (
            "an evaluation of other questions, another index or model, of another kind or with other settings"
        )
    elif not path.exists() and (folder / RECORDS).exists():
        found = f"an evaluation that cannot be told: it has no {SETTINGS}"
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    raise UsageError(
        f"{folder} holds {found}", accepted="a folder of its own for each", next_step=f"--output {folder}_2"
    )


def batched(questions: Sequence[T], at_once: int) -> Iterator[Sequence[T]]:
    """The questions that are asked together, ``at_once`` or, at the end, fewer."""
    return (questions[at : at + at_once] for at in range(0, len(questions), at_once))


def records_so_far(folder: Path, batches: Iterable[Sequence[Any]]) -> tuple[list[dict[str, Any]], int]:
    """The records of an earlier run of the same ``batches``, and how many of these they are.

    Of a run that was killed only whole batches count: the texts that share one decide the last bits of a score.
    """
    records = folder / RECORDS
    if not records.exists():
        return [], 0
    lines = _lines(records)
    ends = [end for end in accumulate(map(len, batches)) if end <= len(lines)]
    whole = lines[: ends[-1]] if ends else []
    records.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return [json.loads(line) for line in whole], len(ends)


def add_records(file: TextIO, records: Iterable[Mapping[str, Any]]) -> None:
    """Put the records of a batch behind the others; after a kill of the process they stand there."""
    file.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    file.flush()


def load_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a finished evaluation.

    Raises:
        UsageError: the folder holds none, one of another kind, or one that did not come to its end.
    """
    if not all((folder / name).is_file() for name in (RECORDS, "scores.json")) or _kind(folder) != EVAL:
        raise UsageError(
            f"{folder} holds no finished evaluation",
            accepted="a folder that `ragqa eval` wrote",
            next_step=f"ragqa eval --data QUESTIONS --output {folder}",
        )
    return [json.loads(line) for line in _lines(folder / RECORDS)]


def _kind(folder: Path) -> str:
    """The kind of the evaluation in a folder; empty where nothing tells it."""
    path = folder / SETTINGS
    return str(json.loads(path.read_text(encoding="utf-8")).get("kind", "")) if path.is_file() else ""


def _lines(path: Path) -> list[str]:
    """The whole lines of a file; texts may hold characters that end lines elsewhere."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _digests(config: Config) -> dict[str, str]:
    """What the models are, wherever they lie: one trained anew in its place is another; so are other shipped ones."""
    found = {"shipped": backbone.digest(Path(pretrained.__file__).parent)}
    for name in ("encoder", "reranker", "reader"):
        for key, value in config.model_dump()[name].items():
            if key.endswith("model") and isinstance(value, str) and Path(value).is_dir():
                found[f"{name}.{key}"] = backbone.digest(Path(value))
    return found
