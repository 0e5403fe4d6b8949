"""``ragqa eval``: every question through the pipeline, one record for each, and what they come to together.

questions ──locate──▶ gold places ──rank──▶ runs ──rerank, read──▶ answers ──▶ records ──▶ scores

Records are written as they come, so that a killed run goes on where it was. The same questions, index and settings give
the same files, byte for byte, but for times.
"""

import hashlib
import json
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ragqa import data
from ragqa.backbone import file_digest
from ragqa.catalog import Catalog
from ragqa.errors import DataError, UsageError
from ragqa.evaluation import report, scores, trec
from ragqa.evaluation.answers import exact_match, f1, rouge_l
from ragqa.evaluation.blame import Course, verdict
from ragqa.hybrid import RankedRow
from ragqa.pipeline import MAX_QUERY_CHARACTERS, Pipeline
from ragqa.types import Answer, Example, Hit, Passage, Query, Span

RECORDS, TIMES, SETTINGS = "per_question.jsonl", "times.json", "settings.json"
DEPTH = 100
"""Hits of each ranking that are kept; no measure looks further down."""

_AT_ONCE = 64

_DISTINCTIVE = 40
"""Characters from which on a text that stands in a document of another name is taken for the same."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Located:
    """A question with the rows of the index that hold its answer; ``place`` is where the answer stands."""

    example: Example
    rows: tuple[int, ...]
    place: tuple[str, Span] | None

    @property
    def answerable(self) -> bool:
        """Whether a right answer is known."""
        return bool(self.example.answers)

    @property
    def judged(self) -> bool:
        """Whether an answer can be called right or wrong: not where only the right passages are known."""
        return self.answerable or not self.rows


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: the folder, one record for each question, and the scores made from them."""

    folder: Path
    records: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Any]


def evaluate(
    pipeline: Pipeline,
    questions: Path,
    folder: Path,
    *,
    limit: int | None = None,
    on_bad: Callable[[Exception], None],
    progress: Progress = lambda done, of: None,
) -> Evaluation:
    """Ask every question of a file and leave records, scores and rankings in ``folder``.

    Raises:
        DataError: no question of the file can be judged on this index, or ids that occur twice.
        UsageError: the folder holds an evaluation of something else.
    """
    examples = data.read(questions, on_bad)[:limit]
    _refuse_double_ids(examples)
    asked = list(locate(examples, pipeline.retriever.catalog, on_bad))
    if not asked:
        raise DataError(
            f"none of the {len(examples)} questions of {questions} can be judged on this index",
            accepted="questions whose documents are in the index",
            next_step="ragqa info shows what is in it",
        )
    settings = {
        "index": pipeline.retriever.generation.manifest.created,
        "config": pipeline.config.model_dump(mode="json"),
        "questions": hashlib.sha256(file_digest(questions).encode()).hexdigest()
        if questions.is_file()
        else "",
        "asked": len(asked),
    }
    kept = _resumed(folder, settings)
    started = time.perf_counter()
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        for at in range(len(kept), len(asked), _AT_ONCE):
            few = _few(pipeline, asked[at : at + _AT_ONCE])
            file.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in few))
            file.flush()
            kept += few
            progress(len(kept), len(asked))
    seconds = time.perf_counter() - started
    times = {name: round(value, 3) for name, value in pipeline.timings.seconds.items()}
    (folder / TIMES).write_text(json.dumps({"seconds": round(seconds, 3), "stages": times}, indent=1) + "\n")
    return Evaluation(folder, kept, scores.summarise(kept, left_out=len(examples) - len(asked)))


def write_report(evaluation: Evaluation, title: str) -> None:
    """Scores as JSON, Markdown and a page, plots, and the last ranking in TREC's form."""
    folder, records = evaluation.folder, evaluation.records
    report.draw(records, folder)
    last = "reranked" if "reranked" in records[0]["rankings"] else "fused"
    files = {
        "scores.json": json.dumps(evaluation.scores, indent=1, ensure_ascii=False) + "\n",
        "report.md": report.markdown(title, evaluation.scores),
        "report.html": report.page(title, evaluation.scores, records, folder),
        "run.txt": trec.run_lines(trec.run_of(records, last), "ragqa"),
        "qrels.txt": trec.qrels_lines(trec.qrels_of(records)),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def load_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a finished evaluation.

    Raises:
        UsageError: the folder holds none, or one that did not come to its end.
    """
    path = folder / RECORDS
    if not path.is_file() or not (folder / "scores.json").is_file():
        raise UsageError(
            f"{folder} holds no finished evaluation",
            accepted="a folder that `ragqa eval` wrote",
            next_step=f"ragqa eval --data QUESTIONS --output {folder}",
        )
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def locate(
    examples: Sequence[Example], catalog: Catalog, on_bad: Callable[[Exception], None]
) -> Iterator[Located]:
    """Each question with its gold rows; ``on_bad`` is told of those whose answer the index does not hold."""
    index = _Places.of(catalog)
    for example in examples:
        if not example.query.text.strip() or len(example.query.text) > MAX_QUERY_CHARACTERS:
            on_bad(DataError(f"question {example.query.id!r} has {len(example.query.text):,} characters"))
        elif not example.answers and not example.positives:
            yield Located(example, (), None)
        elif (found := index.locate(example)) is not None:
            yield found
        else:
            document = example.positives[0].doc_id if example.positives else "no document"
            on_bad(
                DataError(
                    f"question {example.query.id!r}: the index does not hold its answer ({document})",
                    accepted="documents as they were when the question was written",
                )
            )


class _Places:
    """Where every passage of an index stands, and which have the same text."""

    def __init__(self, catalog: Catalog) -> None:
        self._text = lru_cache(maxsize=64)(lambda doc_id: catalog.document(doc_id).text)
        self._catalog = catalog
        self._by_document: dict[str, list[tuple[int, int, int]]] = {}
        self._by_text: dict[str, list[int]] = {}

    @classmethod
    def of(cls, catalog: Catalog) -> "_Places":
        """All passages of ``catalog``."""
        found = cls(catalog)
        for row, passage in enumerate(catalog.all_passages()):
            found._by_document.setdefault(passage.doc_id, []).append((passage.start, passage.end, row))
            found._by_text.setdefault(_folded(passage.text), []).append(row)
        return found

    @cached_property
    def _all(self) -> tuple[str, list[int], list[str]]:
        """The text of all documents in one piece, where each begins, and its name."""
        names = list(self._by_document)
        texts = [self._catalog.document(name).text for name in names]
        starts = [0]
        for text in texts:
            starts.append(starts[-1] + len(text) + 1)
        return "\0".join(texts), starts[:-1], names

    def locate(self, example: Example) -> Located | None:
        """The rows that hold the answer: by its place, or the passages that are its own word for word."""
        place = self._place(example)
        if place is None:
            place = self._anywhere(example)
        if place is not None:
            doc_id, span = place
            mine = self._by_document[doc_id]
            rows = tuple(row for start, end, row in mine if start < span.end and end > span.start)
        else:
            rows = tuple(row for p in example.positives for row in self._by_text.get(_folded(p.text), ()))
        return Located(example, rows, place) if rows else None

    def _anywhere(self, example: Example) -> tuple[str, Span] | None:
        """Where the words of a whole passage stand, whatever the document is called."""
        text, starts, names = self._all
        for passage in example.positives:
            at = text.find(passage.text) if len(passage.text) >= _DISTINCTIVE else -1
            if at >= 0:
                number = bisect_right(starts, at) - 1
                return names[number], _answer_span(example, passage, at - starts[number])
        return None

    def _place(self, example: Example) -> tuple[str, Span] | None:
        """Document and characters of the answer: those given, or where its text stands once."""
        for passage in example.positives:
            if passage.doc_id not in self._by_document:
                continue
            text = self._text(passage.doc_id)
            start, end = passage.start, passage.end
            if end <= start or text[start:end] != passage.text:
                if text.count(passage.text) != 1:
                    continue
                start = text.index(passage.text)
            return passage.doc_id, _answer_span(example, passage, start)
        return None


def _answer_span(example: Example, passage: Passage, start: int) -> Span:
    """Where the answer stands in a document, given the place of its passage."""
    if example.spans and passage is example.positives[0]:
        first = example.spans[0]
        return Span(start + first.start, start + first.end)
    return Span(start, start + len(passage.text))


def _folded(text: str) -> str:
    return " ".join(text.split())


def _few(pipeline: Pipeline, asked: Sequence[Located]) -> list[dict[str, Any]]:
    """The records of some questions, asked together."""
    queries = [one.example.query for one in asked]
    top_k = pipeline.config.top_k
    ranked = pipeline.retriever.rank(queries, max(DEPTH, top_k))
    wanted = max(top_k, pipeline.reranker.candidates)
    hits = [pipeline.retriever.hits(rows[:wanted]) for rows in ranked]
    places = [
        {hit.passage.id: row.row for hit, row in zip(mine, rows, strict=False)}
        for mine, rows in zip(hits, ranked, strict=True)
    ]
    reranked = [list(mine) for mine in pipeline.rerank(queries, hits)]
    read = [mine[:top_k] for mine in reranked]
    answers = _read(pipeline, asked, queries, read)
    gold = _with_gold(pipeline, asked)
    found = []
    for number, one in enumerate(asked):
        rankings = {
            "fused": [row.row for row in ranked[number]],
            **{leg: _by_leg(ranked[number], leg) for leg in trec.LEGS},
        }
        if pipeline.reranker.candidates:
            order = [places[number][hit.passage.id] for hit in reranked[number]]
            rankings["reranked"] = [*order, *rankings["fused"][len(order) :]]
        found.append(_record(one, rankings, read[number], answers[number], gold[number], top_k, pipeline))
    return found


def _by_leg(ranked: Sequence[RankedRow], leg: str) -> list[int]:
    known = [row for row in ranked if leg in row.legs]
    return [row.row for row in sorted(known, key=lambda row: -row.legs[leg])]


def _read(
    pipeline: Pipeline, asked: Sequence[Located], queries: Sequence[Query], hits: Sequence[Sequence[Hit]]
) -> list[Answer | None]:
    """What the reader makes of the hits of each question whose answer can be judged."""
    rows = [row for row, one in enumerate(asked) if one.judged]
    answers = iter(pipeline.read([queries[row] for row in rows], [hits[row] for row in rows]) if rows else ())
    return [next(answers) if one.judged else None for one in asked]


def _with_gold(pipeline: Pipeline, asked: Sequence[Located]) -> list[Answer | None]:
    """What the reader makes of the gold passage alone, for each answerable question."""
    answerable = [one for one in asked if one.answerable]
    passages = [pipeline.retriever.catalog.passages(one.rows[:1]) for one in answerable]
    answers = iter(
        pipeline.read([one.example.query for one in answerable], [[Hit(p[0], 1.0)] for p in passages])
        if answerable
        else ()
    )
    return [next(answers) if one.answerable else None for one in asked]


def _record(
    asked: Located,
    rankings: Mapping[str, Sequence[int]],
    hits: Sequence[Hit],
    answer: Answer | None,
    with_gold: Answer | None,
    top_k: int,
    pipeline: Pipeline,
) -> dict[str, Any]:
    example = asked.example
    known = {
        "id": example.query.id,
        "question": example.query.text,
        "gold": list(example.answers),
        "gold rows": list(asked.rows),
        "rankings": {name: list(rows[:DEPTH]) for name, rows in rankings.items()},
    }
    if answer is None:
        return {**known, "answer": None, "verdict": None, "scores": None, "citations": []}
    candidate = str(answer.details.get("candidate", answer.text or ""))
    given = answer.text
    gold = set(asked.rows)
    last = rankings.get("reranked", rankings["fused"])
    course = Course(
        asked.answerable,
        retrieved=bool(gold & set(rankings["fused"][:top_k])),
        read=bool(gold & set(last[:top_k])),
        f1=None if given is None else f1(given, example.answers),
    )
    texts = [hit.passage.text.casefold() for hit in hits]
    return {
        **known,
        "answer": given,
        "candidate": candidate,
        "confidence": round(answer.confidence, 6),
        "verdict": verdict(course).value,
        "scores": {
            "exact match": 0.0 if given is None else exact_match(given, example.answers),
            "F1": course.f1 or 0.0,
            "ROUGE-L": 0.0 if given is None else rouge_l(given, example.answers),
            "F1 before the threshold": f1(candidate, example.answers),
            "F1 with the gold passage": _candidate_f1(with_gold, example),
            "perfect reader on these hits": float(
                any(gold_answer.casefold() in text for gold_answer in example.answers for text in texts)
            ),
        }
        if asked.answerable
        else None,
        "citations": [
            _citation(c.doc_id, Span(c.start, c.end), c.quote, asked, pipeline) for c in answer.citations
        ],
    }


def _candidate_f1(answer: Answer | None, example: Example) -> float:
    return (
        0.0
        if answer is None
        else f1(str(answer.details.get("candidate", answer.text or "")), example.answers)
    )


def _citation(doc_id: str, span: Span, quote: str, asked: Located, pipeline: Pipeline) -> dict[str, Any]:
    """A citation, whether its quote stands at its place, and how much of it and of the gold span they share."""
    stands = pipeline.retriever.catalog.document(doc_id).text[span.start : span.end] == quote
    shared = 0
    length = 0
    if asked.place is not None:
        gold_document, gold = asked.place
        length = gold.end - gold.start
        if gold_document == doc_id:
            shared = max(0, min(span.end, gold.end) - max(span.start, gold.start))
    return {
        "document": doc_id,
        "start": span.start,
        "end": span.end,
        "quote": quote,
        "stands": stands,
        "precision": shared / max(1, span.end - span.start),
        "recall": shared / length if length else 0.0,
    }


def _refuse_double_ids(examples: Sequence[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.query.id in seen:
            raise DataError(
                f"the id {example.query.id!r} stands at two questions",
                accepted="an id of its own for each question",
            )
        seen.add(example.query.id)


def _resumed(folder: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of an earlier run of the same, up to the last whole batch.

    Raises:
        UsageError: the folder holds an evaluation of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, records = folder / SETTINGS, folder / RECORDS
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{folder} holds an evaluation of other questions, of another index or with other settings",
            accepted="a folder of its own for each",
            next_step=f"--output {folder}_2",
        )
    path.write_text(text, encoding="utf-8")
    if not records.exists():
        return []
    whole = [
        line for line in records.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]
    if len(whole) < int(settings["asked"]):
        # Only whole batches: the texts that share a batch decide the last bits of a score.
        whole = whole[: len(whole) - len(whole) % _AT_ONCE]
    records.write_text("".join(whole), encoding="utf-8")
    return [json.loads(line) for line in whole]
