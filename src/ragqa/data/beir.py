"""BEIR folders (corpus.jsonl, queries.jsonl, qrels/*.tsv) → documents, queries and judgements."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ragqa.data.faults import OnBad, field, refuse, require_whole, whole
from ragqa.errors import DataError
from ragqa.types import Document, Example, Passage, Query

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Collection:
    """A retrieval test set; ``queries`` are those that ``qrels`` judges, in the order of their file."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    qrels: Mapping[str, Mapping[str, int]]


def load(folder: Path, split: str = "test") -> Collection:
    """One split of the folder; every document, whether judged or not.

    Raises:
        DataError: a file is missing or a line of it has another form; or a judged query or no query is there.
    """
    found = documents(folder)
    qrels = _qrels(folder / "qrels" / f"{split}.tsv")
    queries = tuple(q for q in _records(folder / "queries.jsonl", _query) if q.id in qrels)
    missing = sorted(qrels.keys() - {query.id for query in queries})
    if missing:
        raise DataError(
            f"{folder}: qrels/{split}.tsv judges query {missing[0]!r}, which queries.jsonl does not have"
        )
    return Collection(found, queries, qrels)


def documents(folder: Path) -> tuple[Document, ...]:
    """Every document of the folder.

    Raises:
        DataError: as ``load``.
    """
    return tuple(_records(folder / "corpus.jsonl", _document))


def has(folder: Path, split: str) -> bool:
    """Whether the folder judges questions of a split."""
    return (folder / "qrels" / f"{split}.tsv").is_file()


def examples(folder: Path, split: str = "train", on_bad: OnBad = refuse) -> list[Example]:
    """The questions of a split, each with the documents that were judged relevant as its positives, best first.

    A question without any is left out, and so are judgements of documents that the corpus lacks.

    Args:
        on_bad: is told of each question whose text is broken; such a question is left out.

    Raises:
        DataError: as ``load``; a broken question, unless ``on_bad`` accepts it; or none has a relevant document.
    """
    collection = load(folder, split)
    passages = {document.id: whole_passage(document) for document in collection.documents}
    found = []
    for query in collection.queries:
        judged = sorted(collection.qrels[query.id].items(), key=lambda pair: -pair[1])
        positives = tuple(passages[name] for name, grade in judged if grade > 0 and name in passages)
        if not positives:
            continue
        try:
            found.append(whole(Example(query, positives=positives)))
        except DataError as fault:
            on_bad(DataError(f"{folder}: {fault.found}", accepted=fault.accepted))
    if not found:
        raise DataError(f"{folder}: no question of {split} has a relevant document")
    return found


def whole_passage(document: Document) -> Passage:
    """The document as one passage with its title, as published results index it."""
    return Passage(document.id, 0, len(document.text), document.text, document.title)


def _records(path: Path, parse: Callable[[Mapping[str, Any]], Value]) -> Iterator[Value]:
    for number, line in _lines(path):
        try:
            yield parse(json.loads(line))
        except DataError as fault:
            raise DataError(f"{path} line {number}: {fault.found}", accepted=fault.accepted) from None
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as fault:
            raise DataError(
                f"{path} line {number}: {type(fault).__name__}: {fault}",
                accepted='one JSON object a line with "_id" and "text" (a corpus also "title")',
            ) from fault


def _document(record: Mapping[str, Any]) -> Document:
    found = Document(str(record["_id"]), field(record, "text", str), str(record.get("title") or ""))
    require_whole(f"document {found.id!r}", found.id, found.title, found.text)
    return found


def _query(record: Mapping[str, Any]) -> Query:
    return Query(field(record, "text", str), id=str(record["_id"]))


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        try:
            query, document, grade = line.split("\t")
            if number > 1 or grade.strip() != "score":  # the first line names the columns
                qrels.setdefault(query, {})[document] = int(grade)
        except ValueError as fault:
            raise DataError(
                f"{path} line {number}: {line!r}",
                accepted="query-id, corpus-id and a whole number, tab-separated",
            ) from fault
    return qrels


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read ({fault})") from fault
