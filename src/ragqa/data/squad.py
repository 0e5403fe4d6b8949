"""SQuAD JSON (v1.1 and v2.0; CMRC 2018 and DRCD use the same form) → examples."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ragqa.data.faults import OnBad, field, refuse, whole
from ragqa.errors import DataError
from ragqa.types import Example, Passage, Query, Span

ACCEPTED = '{"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}'


def load(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question of the file, in its order, with its own paragraph as ``positives[0]``.

    Questions marked impossible, and those without an answer, keep the paragraph as a hard negative instead. The article
    is the document, so a split by ``doc_id`` never puts one article on both sides; articles of one title are one.

    ``on_bad`` is told of each article, paragraph or question that lacks something, and of each question whose answer
    does not stand where it says; these are left out.

    Raises:
        DataError: the file is not JSON of this form; a bad record, unless ``on_bad`` accepts it.
    """
    faults: list[DataError] = []
    try:
        articles = json.loads(path.read_text(encoding="utf-8-sig"))["data"]
        paragraphs = list(_paragraphs(articles, faults.append))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise DataError(f"{path} is not SQuAD JSON ({_reason(fault)})", accepted=ACCEPTED) from fault
    if faults and not paragraphs:  # then it is the form that differs, not a record
        raise DataError(f"{path} is not SQuAD JSON ({faults[0].found})", accepted=ACCEPTED)
    for bad in faults:
        on_bad(bad)
    return [example for passage, qas in paragraphs for example in _examples(passage, qas, on_bad)]


def _paragraphs(articles: Sequence[Any], on_bad: OnBad) -> Iterator[tuple[Passage, list[Any]]]:
    """Each paragraph with what is asked about it; every one has a place of its own in its document."""
    ends: dict[str, int] = {}
    for number, article in enumerate(articles, 1):
        try:
            found, title = field(article, "paragraphs", list), _text(article.get("title"))
        except (KeyError, TypeError) as fault:
            on_bad(DataError(f"article {number}: {_reason(fault)}", accepted=ACCEPTED))
            continue
        document = title or f"article {number}"
        name = f"article {title!r}" if title else document
        for place, paragraph in enumerate(found, 1):
            try:
                text, qas = field(paragraph, "context", str), field(paragraph, "qas", list)
            except (KeyError, TypeError) as fault:
                on_bad(DataError(f"{name} paragraph {place}: {_reason(fault)}", accepted=ACCEPTED))
                continue
            start = ends.get(document, 0)
            ends[document] = start + len(text) + 1
            yield Passage(document, start, start + len(text), text, title.replace("_", " ")), qas


def _text(value: Any) -> str:
    """What a field says; nothing where it is null or blank."""
    text = "" if value is None else str(value)
    return text if text.strip() else ""


def _reason(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


def _examples(passage: Passage, qas: Sequence[Any], on_bad: OnBad) -> Iterator[Example]:
    for qa in qas:
        try:
            example = whole(_example(qa, passage))
        except (KeyError, TypeError, ValueError) as fault:
            name = qa.get("id") if isinstance(qa, dict) else qa
            on_bad(DataError(f"question {name}: {_reason(fault)}", accepted=ACCEPTED))
        except DataError as fault:
            on_bad(fault)
        else:
            yield example


def _example(qa: dict[str, Any], passage: Passage) -> Example:
    query = Query(field(qa, "question", str).strip(), id=str(qa["id"]))
    impossible = qa.get("is_impossible")
    # Some programs write an answer without words where there is none.
    answers = [] if impossible else [answer for answer in qa["answers"] if _text(answer["text"])]
    if impossible is False and not answers:
        raise DataError(
            f"question {query.id}: is_impossible is false, but no answer has words",
            accepted="an answer, or is_impossible: true",
        )
    spans = tuple(
        _span(query, str(answer["text"]), int(answer["answer_start"]), passage) for answer in answers
    )
    if not spans:
        return Example(query, hard_negatives=(passage,))
    return Example(query, tuple(str(answer["text"]) for answer in answers), (passage,), spans)


def _span(query: Query, answer: str, start: int, passage: Passage) -> Span:
    if start < 0 or not passage.text.startswith(answer, start):
        raise DataError(f"question {query.id}: answer {answer!r} does not stand at character {start}")
    return Span(start, start + len(answer))
