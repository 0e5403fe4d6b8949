"""Labelled questions → ``Example``; one file per format, ``read`` tells them apart."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragqa.data import beir, commonsenseqa, instructions, jsonl, located, race, squad
from ragqa.data.faults import OnBad, refuse
from ragqa.errors import DataError
from ragqa.types import Example, Passage

ACCEPTED = (
    'JSON Lines with "question" and "passage" or "choices", JSON in the form of SQuAD, JSON Lines of '
    "CommonsenseQA, a JSON array of instructions with options, a folder in the form of BEIR or of RACE"
)


def read_to_judge(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """The questions of a file or a folder that are to be asked of an index: of a BEIR folder those of the test part.

    A file may name the places of its answers alone (``located``); nothing can be trained on that.

    Raises:
        DataError: see ``read``.
    """
    if path.is_dir() and (path / "corpus.jsonl").is_file():
        return beir.examples(path, "test", on_bad)
    if path.is_file() and located.is_file(path):
        return located.load(path, on_bad)
    return read(path, on_bad)


def read_pairs(
    paths: Sequence[Path], at_most: int | Sequence[int] | None, seed: int, on_bad: OnBad = refuse
) -> list[Example]:
    """The questions with answers of several files, drawn as ``read_all`` does; none needs a passage.

    Raises:
        DataError: see ``read``; or none of them has an answer.
    """

    def one(path: Path) -> list[Example]:
        if path.is_file() and located.is_file(path):
            # What they name is a place in an index, not a passage.
            return [replace(e, positives=()) for e in located.load(path, on_bad)]
        return read(path, on_bad, needs_passage=False)

    found = [e for e in _drawn(paths, at_most, seed, one) if e.answers]
    if not found:
        raise DataError(
            f"none of the questions of {', '.join(map(str, paths))} has an answer",
            accepted='questions with "answers" in words; folders in the form of BEIR have none',
        )
    return found if len(paths) == 1 else _placed_together(found)


def read_to_fit(path: Path, on_bad: OnBad = refuse) -> tuple[list[Example], list[Example]]:
    """The questions that settings are fitted on, and those put aside to tell what came of it: maybe none.

    A BEIR folder with a training part puts its test part aside; of everything else each question is fitted on.

    Raises:
        DataError: see ``read``.
    """
    if path.is_dir() and (path / "corpus.jsonl").is_file() and beir.has(path, "train"):
        kept = beir.examples(path, "test", on_bad) if beir.has(path, "test") else []
        return beir.examples(path, on_bad=on_bad), kept
    return read_to_judge(path, on_bad), []


def read(path: Path, on_bad: OnBad = refuse, *, needs_passage: bool = True) -> list[Example]:
    """The questions of a file or a folder in any format, told by its content.

    Args:
        needs_passage: whether a question with answers must have a passage.

    Raises:
        DataError: no such file, another format, or no question in it; a bad record, unless ``on_bad`` accepts it.
    """
    if path.is_dir():
        if (path / "corpus.jsonl").is_file():
            return beir.examples(path, on_bad=on_bad)
        if race.articles(path):
            return race.load(path, on_bad)
        raise DataError(f"the folder {path} holds no questions", accepted=ACCEPTED)
    try:
        text = path.read_text(encoding="utf-8-sig").lstrip()  # programs on Windows put a mark in front
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise DataError(f"{path} cannot be read: {reason}", accepted=ACCEPTED) from fault
    if not text:
        raise DataError(f"{path} is empty", accepted=ACCEPTED)
    record = _first_record(text)
    if instructions.is_text(text):
        examples = instructions.load(path, on_bad)
    elif record is None:
        examples = squad.load(path, on_bad)
    elif commonsenseqa.is_record(record):
        examples = commonsenseqa.load(path, on_bad)
    else:
        examples = jsonl.load(path, on_bad, needs_passage=needs_passage)
    if not examples:
        raise DataError(f"{path} holds no usable question", accepted=ACCEPTED)
    return examples


def read_all(
    paths: Sequence[Path], at_most: int | Sequence[int] | None, seed: int, on_bad: OnBad = refuse
) -> list[Example]:
    """The questions of several files and folders, drawn by ``seed``, in their order.

    Args:
        at_most: of each file so many, or one number for each; None for all.

    Raises:
        DataError: see ``read``.
    """
    found = _drawn(paths, at_most, seed, lambda path: read(path, on_bad))
    return found if len(paths) == 1 else _placed_together(found)


def _drawn(
    paths: Sequence[Path],
    at_most: int | Sequence[int] | None,
    seed: int,
    read_one: Callable[[Path], list[Example]],
) -> list[Example]:
    found: list[Example] = []
    limits = [at_most] * len(paths) if at_most is None or isinstance(at_most, int) else at_most
    for path, limit in zip(paths, limits, strict=True):
        examples = read_one(path)
        if limit is not None and limit < len(examples):
            rows = sorted(random.Random(seed).sample(range(len(examples)), limit))
            examples = [examples[row] for row in rows]
        found += examples
    return found


def _placed_together(examples: Sequence[Example]) -> list[Example]:
    """The examples of several files, whose documents may share names: each text has its own place in its document."""
    ends: dict[str, int] = {}
    known: dict[tuple[str, str, str], Passage] = {}

    def place(passage: Passage) -> Passage:
        key = (passage.doc_id, passage.title, passage.text)
        if key not in known:
            start = ends.get(passage.doc_id, 0)
            ends[passage.doc_id] = start + len(passage.text) + 1
            known[key] = replace(passage, start=start, end=start + len(passage.text))
        return known[key]

    return jsonl.with_known_negatives(
        [
            replace(
                e,
                positives=tuple(place(p) for p in e.positives),
                hard_negatives=tuple(place(p) for p in e.hard_negatives),
            )
            for e in examples
        ]
    )


def corpus(paths: Sequence[Path], examples: Sequence[Example]) -> list[Passage]:
    """Every passage that a question of ``paths`` could be answered from: those of BEIR folders and the examples'."""
    known = distinct_passages(examples)
    texts = {(p.doc_id, p.title, p.text): p for p in known}
    taken = {p.id for p in known}
    found = []
    for folder in [path for path in paths if (path / "corpus.jsonl").is_file()]:
        for document in beir.documents(folder):
            passage = beir.whole_passage(document)
            same = texts.get((passage.doc_id, passage.title, passage.text))
            # Documents of two folders may share an id: another text gets another place.
            while same is None and passage.id in taken:
                passage = replace(passage, start=passage.end + 1, end=2 * passage.end - passage.start + 1)
            taken.add(passage.id)
            found.append(same or passage)
    return list({p.id: p for p in (*found, *known)}.values())


def filled(own: Sequence[Passage], corpus: Sequence[Passage], at_most: int, seed: int) -> list[Passage]:
    """``own`` passages, and others of ``corpus``, drawn by ``seed``, up to ``at_most`` together."""
    known = {p.id for p in own}
    others = [p for p in corpus if p.id not in known]
    return [*own, *random.Random(seed).sample(others, min(len(others), max(0, at_most - len(own))))]


def distinct_passages(examples: Sequence[Example]) -> list[Passage]:
    """Every passage of the examples once, in the order of first appearance."""
    seen = {p.id: p for e in examples for p in (*e.positives, *e.hard_negatives)}
    return list(seen.values())


def _first_record(text: str) -> dict[str, Any] | None:
    """The first line that is a JSON object; None where all of the text is one, as in SQuAD's form, or no line is."""
    value = _object(text)
    if value is not None and (text.count("\n", 0, len(text.rstrip())) or "data" in value):
        return None
    return next((found for line in text.split("\n") if (found := _object(line)) is not None), None)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
