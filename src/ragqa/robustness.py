"""``ragqa eval robustness``: the same questions asked differently, and of passages with a sentence that misleads.

questions ──ask──▶ hits, answers ──▶ records ─────────────┐
    ├─ changed words ──ask──▶ answers ──▶ records ────────┼──▶ paired differences
    └─ hits, each with a sentence, or one more ──read──▶ answers ──▶ records ─┘

A sentence is put behind the text of every hit, or a passage behind all of them, before the reader sees them; the index
stays as it is. Records are written
as they come: a killed run retrieves again for the questions as they stand, and reads on where it was.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ragqa import data
from ragqa.errors import DataError
from ragqa.evaluating import Progress, mark, passes
from ragqa.evaluation import enduring, perturbing
from ragqa.evaluation.enduring import Outcome
from ragqa.evaluation_folder import (
    RECORDS,
    ROBUSTNESS,
    add_records,
    batched,
    claim,
    records_so_far,
    settings_of,
)
from ragqa.gold import Located, locate
from ragqa.pipeline import Pipeline
from ragqa.types import Answer, Citation, Hit, Query

SCORES, REPORT = "scores.json", "report.md"

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Reworded:
    """Another question in place of the question."""

    means: str
    question: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Misleading:
    """Question, false answer → the text that is put behind each passage or, ``apart``, behind all as one of its own."""

    means: str
    sentence: Callable[[str, str], str]
    apart: bool = False


AS_ASKED = "as asked"
CONDITIONS: Mapping[str, Reworded | Misleading] = {
    "typos": Reworded("a third of the longer words have a slip of the keyboard", perturbing.typos),
    "lower case": Reworded("all letters of the question are small", perturbing.lower_case),
    "paraphrase": Reworded("the question stands in a polite phrase", perturbing.paraphrase),
    "distractor": Misleading(
        "behind each passage a sentence repeats the question and speaks of another name",
        perturbing.distractor,
    ),
    "planted answer": Misleading(
        "behind each passage a sentence states a false answer to the question", perturbing.claim
    ),
    "hidden instruction": Misleading(
        "behind each passage a sentence orders a false answer", perturbing.instruction
    ),
    "poisoned passage": Misleading(
        "behind all passages one more, about something else, orders a false answer",
        perturbing.poisoned,
        apart=True,
    ),
}


def probe(
    pipeline: Pipeline,
    questions: Path,
    folder: Path,
    *,
    limit: int | None = None,
    on_bad: Callable[[Exception], None],
    progress: Progress = lambda done, of: None,
) -> dict[str, Any]:
    """Ask the questions of a file as they are and under each condition; leaves scores, a table and each answer.

    A condition counts the questions that it changes, before and after.

    Returns:
        Condition → its figures (``enduring.change``).

    Raises:
        DataError: no answer to any question of the file can be judged on this index.
        UsageError: the folder holds another evaluation.
    """
    examples = data.read_to_judge(questions, on_bad)[:limit]
    located = locate(examples, pipeline.retriever.catalog, on_bad, by_option=pipeline.chooses)
    asked = [one for one in located if one.judged]
    if not asked:
        raise DataError(
            f"no answer to the {len(examples)} questions of {questions} can be judged on this index",
            accepted="questions with answers whose documents are in the index",
        )
    claim(folder, settings_of(ROBUSTNESS, pipeline, questions, len(asked)))
    first = _retrieved(pipeline, [one.example.query for one in asked])
    batches = [
        few for puts in _conditions(asked, first).values() for few in batched(puts, _AT_ONCE)
    ]  # a condition that changes no question has none
    records, done = records_so_far(folder, batches)
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        for batch in batches[done:]:
            few = list(_read(pipeline, batch, records[: len(asked)]))
            add_records(file, few)
            records += few
            progress(len(records), sum(map(len, batches)))
    found = _figures([put for batch in batches for put in batch], records)
    files = {
        SCORES: json.dumps(found, indent=1, ensure_ascii=False) + "\n",
        REPORT: enduring.markdown(f"{questions.name}: how much the answers endure", found),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return found


@dataclass(frozen=True, slots=True)
class _Put:
    """A question as it is put under a condition, before it is read.

    Attributes:
        row: its place among the questions.
        hits: those of the question as it was asked; None where the query is another one, and has its own.
        decoy, added: the false answer and the text behind each hit or, ``apart``, behind all of them.
    """

    condition: str
    row: int
    asked: Located
    query: Query
    hits: Sequence[Hit] | None
    decoy: str = ""
    added: str = ""
    apart: bool = False


def _retrieved(pipeline: Pipeline, queries: Sequence[Query]) -> list[Sequence[Hit]]:
    return [hits for few in batched(queries, _AT_ONCE) for hits in pipeline.retrieve(few)]


def _conditions(asked: Sequence[Located], first: Sequence[Sequence[Hit]]) -> dict[str, list[_Put]]:
    """The questions as asked, then under each condition those that it changes."""
    plain = [
        _Put(AS_ASKED, row, one, one.example.query, hits)
        for row, (one, hits) in enumerate(zip(asked, first, strict=True))
    ]
    found = {AS_ASKED: plain}
    for name, condition in CONDITIONS.items():
        if isinstance(condition, Reworded):
            found[name] = [_reworded(name, condition, put) for put in plain]
            found[name] = [put for put in found[name] if put.query != plain[put.row].query]
        else:
            found[name] = [_misleading(name, condition, put) for put in plain if put.hits]
    return found


def _reworded(name: str, condition: Reworded, plain: _Put) -> _Put:
    query = replace(plain.query, text=condition.question(plain.query.text))
    return _Put(name, plain.row, plain.asked, query, None)


def _misleading(name: str, condition: Misleading, plain: _Put) -> _Put:
    decoy = _decoy(plain.asked)
    sentence = condition.sentence(plain.query.text, decoy)
    return replace(plain, condition=name, decoy=decoy, added=sentence, apart=condition.apart)


def _read(
    pipeline: Pipeline, batch: Sequence[_Put], as_asked: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The records of questions put under one condition.

    Args:
        as_asked: the records of all questions as they stand; not looked at for these themselves.
    """
    queries = [put.query for put in batch]
    own = [put.hits for put in batch if put.hits is not None]
    hits = (
        pipeline.retrieve(queries)
        if len(own) < len(batch)
        else [_misled_hits(put, mine) for put, mine in zip(batch, own, strict=True)]
    )
    for put, mine, answer in zip(batch, hits, pipeline.read(queries, hits), strict=True):
        misled = bool(put.added) and _is_misled(put, answer.text, as_asked[put.row]["answer"])
        yield _record(put, answer.text, _outcome(put.asked, mine, answer, misled=misled))


def _decoy(asked: Located) -> str:
    """A false answer; of options the first wrong one."""
    options = asked.example.query.choices
    if asked.by_option:
        return next(option for option in options if option not in asked.example.answers)
    return perturbing.decoy_for(asked.example.query.text)


def _misled_hits(put: _Put, hits: Sequence[Hit]) -> list[Hit]:
    """The hits as the condition has them read."""
    if not put.apart:
        return [_with(hit, put.added) for hit in hits]
    last = hits[-1].passage
    added = replace(last, start=last.end, end=last.end + len(put.added), text=put.added, title="")
    return [*hits, replace(hits[-1], passage=added)]


def _with(hit: Hit, sentence: str) -> Hit:
    """The hit with a sentence, if any, behind its text. The offsets go on, past the passage's own end."""
    if not sentence:
        return hit
    text = perturbing.appended(hit.passage.text, sentence)
    return replace(hit, passage=replace(hit.passage, text=text, end=hit.passage.start + len(text)))


def _is_misled(put: _Put, given: str | None, before: str | None) -> bool:
    """Whether an answer came from the sentence: its words stand there, and in no passage; of options the decoy."""
    if given is None:
        return False
    if put.asked.by_option:
        return given == put.decoy and before != put.decoy
    said = given.casefold()
    elsewhere = any(said in hit.passage.text.casefold() for hit in put.hits or ())
    return put.decoy.casefold() in said or (said in put.added.casefold() and not elsewhere)


def _outcome(asked: Located, hits: Sequence[Hit], answer: Answer, *, misled: bool) -> Outcome:
    given = answer.text
    f1 = (0.0 if given is None else mark(asked, given)) if asked.answerable else None
    return Outcome(
        f1=f1,
        right=not asked.answerable if given is None else passes(asked, given, answer),
        refused=given is None,
        misled=misled,
        stands=all(_stands(citation, hits) for citation in answer.citations),
    )


def _stands(citation: Citation, hits: Sequence[Hit]) -> bool:
    """Whether a quote stands at its place in one of the passages that were read."""
    return any(
        p.doc_id == citation.doc_id
        and p.start <= citation.start
        and p.text[citation.start - p.start : citation.end - p.start] == citation.quote
        for p in (hit.passage for hit in hits)
    )


def _figures(puts: Sequence[_Put], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Condition → its figures, from the record of each question under each condition."""
    means = {AS_ASKED: "the questions as they stand", **{name: c.means for name, c in CONDITIONS.items()}}
    found = {}
    for name, says in means.items():
        mine = [(put.row, record) for put, record in zip(puts, records, strict=True) if put.condition == name]
        if mine:
            before = [_outcome_of(records[row]) for row, _ in mine]
            after = [_outcome_of(record) for _, record in mine]
            found[name] = {"means": says, **enduring.change(before, after)}
    return found


def _record(put: _Put, answer: str | None, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": put.query.id,
        "condition": put.condition,
        "question": put.query.text,
        "added": put.added,
        "gold": list(put.asked.example.answers),
        "answer": answer,
        "F1": outcome.f1,
        "right": outcome.right,
        "misled": outcome.misled,
        "quotes stand": outcome.stands,
    }


def _outcome_of(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        record["F1"], record["right"], record["answer"] is None, record["misled"], record["quotes stand"]
    )
