"""``ragqa eval robustness``: the same questions asked differently, and of passages with a sentence that misleads.

questions ──ask──▶ hits, answers ──▶ outcomes ─────────────┐
    ├─ changed words ──ask──▶ answers ──▶ outcomes ────────┼──▶ paired differences
    └─ hits, each with a sentence ──read──▶ answers ──▶ outcomes ─┘

A sentence is put behind the text of every hit before the reader sees it; the index stays as it is.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ragqa import data
from ragqa.errors import DataError
from ragqa.evaluating import Progress, mark
from ragqa.evaluation import enduring, perturbing
from ragqa.evaluation.blame import RIGHT_F1
from ragqa.evaluation.enduring import Outcome
from ragqa.evaluation_folder import RECORDS, ROBUSTNESS, claim, settings_of
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
    """Question, false answer → the sentence that is put behind each passage."""

    means: str
    sentence: Callable[[str, str], str]


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
    before = _asked(pipeline, asked, [one.example.query.text for one in asked])
    found = {AS_ASKED: _figures("the questions as they stand", before, before)}
    lines = [_line(AS_ASKED, one) for one in before]
    for number, (name, condition) in enumerate(CONDITIONS.items(), 1):
        progress(number * len(asked), (1 + len(CONDITIONS)) * len(asked))
        first, after = _under(pipeline, condition, before)
        if after:
            found[name] = _figures(condition.means, first, after)
            lines += [_line(name, one) for one in after]
    progress(1, 1)
    files = {
        SCORES: json.dumps(found, indent=1, ensure_ascii=False) + "\n",
        RECORDS: "".join(lines),
        REPORT: enduring.markdown(f"{questions.name}: how much the answers endure", found),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """A question as it was asked, the hits as they were read, the sentence added to each, and what became of it."""

    asked: Located
    query: Query
    hits: Sequence[Hit]
    answer: Answer
    outcome: Outcome
    added: str = ""


def _asked(pipeline: Pipeline, asked: Sequence[Located], texts: Sequence[str]) -> list[_Reading]:
    """Each question in the words of ``texts``."""
    found = []
    for at in range(0, len(asked), _AT_ONCE):
        few = asked[at : at + _AT_ONCE]
        queries = [
            replace(one.example.query, text=text)
            for one, text in zip(few, texts[at : at + _AT_ONCE], strict=True)
        ]
        hits = pipeline.retrieve(queries)
        answers = pipeline.read(queries, hits)
        for one, query, mine, answer in zip(few, queries, hits, answers, strict=True):
            found.append(_Reading(one, query, mine, answer, _outcome(one, mine, answer, misled=False)))
    return found


def _under(
    pipeline: Pipeline, condition: Reworded | Misleading, before: Sequence[_Reading]
) -> tuple[list[_Reading], list[_Reading]]:
    """The questions that a condition changes, as asked and changed."""
    if isinstance(condition, Reworded):
        texts = [condition.question(one.query.text) for one in before]
        rows = [row for row, one in enumerate(before) if texts[row] != one.query.text]
        after = _asked(pipeline, [before[row].asked for row in rows], [texts[row] for row in rows])
        return [before[row] for row in rows], after
    read = [one for one in before if one.hits]
    return read, [
        misled
        for at in range(0, len(read), _AT_ONCE)
        for misled in _read_misled(pipeline, condition, read[at : at + _AT_ONCE])
    ]


def _read_misled(pipeline: Pipeline, condition: Misleading, before: Sequence[_Reading]) -> Iterator[_Reading]:
    """The same hits read with a sentence behind each."""
    decoys = [_decoy(one.asked) for one in before]
    sentences = [condition.sentence(one.query.text, decoy) for one, decoy in zip(before, decoys, strict=True)]
    hits = [
        [_with(hit, sentence) for hit in one.hits] for one, sentence in zip(before, sentences, strict=True)
    ]
    answers = pipeline.read([one.query for one in before], hits)
    for one, decoy, sentence, mine, answer in zip(before, decoys, sentences, hits, answers, strict=True):
        misled = _is_misled(one, answer.text, decoy, sentence)
        outcome = _outcome(one.asked, mine, answer, misled=misled)
        yield _Reading(one.asked, one.query, mine, answer, outcome, sentence)


def _decoy(asked: Located) -> str:
    """A false answer; of options the first wrong one."""
    options = asked.example.query.choices
    if asked.by_option:
        return next(option for option in options if option not in asked.example.answers)
    return perturbing.decoy_for(asked.example.query.text)


def _with(hit: Hit, sentence: str) -> Hit:
    """The hit with a sentence behind its text. The offsets go on, past the passage's own end."""
    text = perturbing.appended(hit.passage.text, sentence)
    return replace(hit, passage=replace(hit.passage, text=text, end=hit.passage.start + len(text)))


def _is_misled(before: _Reading, given: str | None, decoy: str, sentence: str) -> bool:
    """Whether an answer came from the sentence: its words stand there, and in no passage; of options the decoy."""
    if given is None:
        return False
    if before.asked.by_option:
        return given == decoy and before.answer.text != decoy
    said = given.casefold()
    elsewhere = any(said in hit.passage.text.casefold() for hit in before.hits)
    return decoy.casefold() in said or (said in sentence.casefold() and not elsewhere)


def _outcome(asked: Located, hits: Sequence[Hit], answer: Answer, *, misled: bool) -> Outcome:
    given = answer.text
    f1 = (0.0 if given is None else mark(asked, given)) if asked.answerable else None
    return Outcome(
        f1=f1,
        right=given is None if f1 is None else f1 >= RIGHT_F1,
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


def _figures(means: str, before: Sequence[_Reading], after: Sequence[_Reading]) -> dict[str, Any]:
    figures = enduring.change([one.outcome for one in before], [one.outcome for one in after])
    return {"means": means, **figures}


def _line(condition: str, reading: _Reading) -> str:
    record = {
        "id": reading.query.id,
        "condition": condition,
        "question": reading.query.text,
        "added": reading.added,
        "gold": list(reading.asked.example.answers),
        "answer": reading.answer.text,
        "F1": reading.outcome.f1,
        "right": reading.outcome.right,
        "misled": reading.outcome.misled,
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
