"""SQuAD JSON (v1.1 and v2.0; CMRC 2018 and DRCD use the same form) → examples."""

import json
from collections.abc import Iterator
from pathlib import Path

from ragqa.data.faults import OnBad, refuse
from ragqa.errors import DataError
from ragqa.types import Example, Passage, Query, Span

ACCEPTED = '{"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}'


def load(path: Path, on_bad: OnBad = refuse) -> list[Example]:
    """Every question of the file, in its order, with its own paragraph as ``positives[0]``.

    Questions marked impossible keep the paragraph as a hard negative instead. The article is the document,
    so a split by ``doc_id`` never puts one article on both sides.

    ``on_bad`` is told of each question that lacks something, or whose answer does not stand where it says; such a
    question is left out.

    Raises:
        DataError: the file is not JSON of this form; a bad question, unless ``on_bad`` accepts it.
    """
    try:
        articles = json.loads(path.read_text(encoding="utf-8-sig"))["data"]
        return list(_examples(articles, on_bad))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(
            f"{path} is not SQuAD JSON ({type(fault).__name__}: {fault})",
            accepted=ACCEPTED,
        ) from fault


def _examples(articles: list[dict[str, object]], on_bad: OnBad) -> Iterator[Example]:
    for number, article in enumerate(articles):
        title = str(article.get("title", f"article {number}"))
        at = 0
        for paragraph in article["paragraphs"]:  # type: ignore[attr-defined]
            text = paragraph["context"]
            passage = Passage(title, at, at + len(text), text, title.replace("_", " "))
            at = passage.end + 1
            for qa in paragraph["qas"]:
                try:
                    example = _example(qa, passage)
                except (KeyError, TypeError, ValueError) as fault:
                    name = qa.get("id") if isinstance(qa, dict) else qa
                    on_bad(DataError(f"question {name}: {type(fault).__name__}: {fault}", accepted=ACCEPTED))
                except DataError as fault:
                    on_bad(fault)
                else:
                    yield example


def _example(qa: dict[str, object], passage: Passage) -> Example:
    query = Query(str(qa["question"]).strip(), id=str(qa["id"]))
    answers: list[dict[str, object]] = [] if qa.get("is_impossible") else qa["answers"]  # type: ignore[assignment]
    spans = []
    for answer in answers:
        start, text = int(answer["answer_start"]), str(answer["text"])  # type: ignore[call-overload]
        if passage.text[start : start + len(text)] != text:
            raise DataError(f"question {query.id}: answer {text!r} does not stand at character {start}")
        spans.append(Span(start, start + len(text)))
    if not spans:
        return Example(query, hard_negatives=(passage,))
    return Example(query, tuple(str(a["text"]) for a in answers), (passage,), tuple(spans))
