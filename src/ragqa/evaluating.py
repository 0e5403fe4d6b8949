"""``ragqa eval``: every question through the pipeline, one record for each, and what they come to together.

questions ──locate──▶ gold rows ──legs, fuse──▶ rankings ──rerank, read──▶ answers ──▶ records ──▶ scores

Records are written as they come, so that a killed run goes on where it was. The same questions, index, models and
settings give the same files, byte for byte, but for times.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ragqa import data, speed
from ragqa.errors import DataError
from ragqa.evaluation import report, scores, trec
from ragqa.evaluation.answers import exact_match, f1, is_right
from ragqa.evaluation.blame import Course, verdict
from ragqa.evaluation.wording import bleu, rouge
from ragqa.evaluation_folder import (
    EVAL,
    RECORDS,
    add_records,
    batched,
    claim,
    records_so_far,
    settings_of,
)
from ragqa.gold import Located, locate, own_rows
from ragqa.hybrid import Leg
from ragqa.memory import peak_memory
from ragqa.pipeline import Pipeline
from ragqa.types import Answer, Example, Hit, Query, Span

TIMES = "times.json"
OWN = "own passage"
"""The name of the ranking that is no ranking: the one passage that a question comes with."""

DEPTH = 100
"""Hits of each ranking that are kept; no measure looks further down."""

_AT_ONCE = 64
"""Questions that are asked together; a resumed run goes on after whole batches of them."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: its folder, one record a question, the scores made from them, and their ``speed``."""

    folder: Path
    records: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Any]
    speed: Mapping[str, Any]


def evaluate(
    pipeline: Pipeline,
    questions: Path,
    folder: Path,
    *,
    limit: int | None = None,
    own_passage: bool = False,
    on_bad: Callable[[Exception], None],
    progress: Progress = lambda done, of: None,
) -> Evaluation:
    """Ask every question of a file and leave its records in ``folder``.

    Args:
        own_passage: read each question with the passage that it comes with, whether that answers it or not, in place
            of what the retrieval finds: the reader alone is judged, as in SQuAD.

    Raises:
        DataError: no question of the file can be judged on this index, or ids that occur twice.
        UsageError: the folder holds an evaluation of something else.
    """
    examples = data.read_to_judge(questions, on_bad)[:limit]
    _refuse_double_ids(examples)
    catalog = pipeline.retriever.catalog
    asked = list(locate(examples, catalog, on_bad, by_option=pipeline.chooses))
    own = own_rows(asked, catalog, on_bad) if own_passage else None
    if own is not None:
        asked = [one for one in asked if one.example.query.id in own]
    if not asked:
        raise DataError(
            f"none of the {len(examples)} questions of {questions} can be judged on this index",
            accepted="questions whose documents are in the index",
            next_step="ragqa info shows what is in it",
        )
    settings = settings_of(EVAL, pipeline, questions, len(asked))
    claim(folder, {**settings, "passages": "own"} if own_passage else settings)
    batches = list(batched(asked, _AT_ONCE))
    kept, done = records_so_far(folder, batches)
    started, first = time.perf_counter(), len(kept)
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        for batch in batches[done:]:
            few = _few(pipeline, batch, own)
            add_records(file, few)
            kept += few
            progress(len(kept), len(asked))
    seconds = time.perf_counter() - started
    times = {name: round(value, 3) for name, value in pipeline.timings.seconds.items()}
    spent = {
        "questions": len(asked) - first,
        "seconds": round(seconds, 3),
        "stages": times,
        "peak memory in MB": round(peak_memory()),
    }
    if (
        not spent["questions"] and (folder / TIMES).exists()
    ):  # nothing was left to ask: the times of before hold
        spent = json.loads((folder / TIMES).read_text(encoding="utf-8"))
    alone = speed.measure(
        pipeline,
        [one.example.query for one in asked],
        read=any(one.judged for one in asked),
        given=None if own is None else lambda query: _own_hits(pipeline, own[query.id]),
    )
    (folder / TIMES).write_text(json.dumps({**spent, "one by one": alone}, indent=1) + "\n")
    return Evaluation(folder, kept, scores.summarise(kept, left_out=len(examples) - len(asked)), alone)


def write_report(evaluation: Evaluation, title: str) -> None:
    """Scores as JSON, Markdown and a page, plots, and the last ranking in TREC's form."""
    folder, records = evaluation.folder, evaluation.records
    report.draw(records, folder)
    files = {
        "scores.json": json.dumps(evaluation.scores, indent=1, ensure_ascii=False) + "\n",
        "report.md": report.markdown(title, evaluation.scores),
        "report.html": report.page(title, evaluation.scores, records, folder),
        "run.txt": trec.run_lines(trec.run_of(records, trec.last_ranking(records)), "ragqa"),
        "qrels.txt": trec.qrels_lines(trec.qrels_of(records)),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _few(pipeline: Pipeline, asked: Sequence[Located], own: Mapping[str, int] | None) -> list[dict[str, Any]]:
    """The records of some questions, asked together.

    Args:
        own: question → row of the one passage that it is read with; None where hits are retrieved.
    """
    queries = [one.example.query for one in asked]
    if own is None:
        rankings, hits = _retrieved(pipeline, queries)
    else:
        rankings = [{OWN: [own[query.id]]} for query in queries]
        hits = [_own_hits(pipeline, own[query.id]) for query in queries]
    answers, with_gold = _read(pipeline, asked, hits, gold_too=own is None)
    return [_record(*row, pipeline) for row in zip(asked, rankings, hits, answers, with_gold, strict=True)]


def _own_hits(pipeline: Pipeline, row: int) -> list[Hit]:
    return [Hit(passage, 1.0) for passage in pipeline.retriever.catalog.passages([row])]


def _retrieved(
    pipeline: Pipeline, queries: Sequence[Query]
) -> tuple[list[dict[str, list[int]]], list[Sequence[Hit]]]:
    """The rankings of each stage for each query, and the hits that the reader sees."""
    retriever, top_k = pipeline.retriever, pipeline.config.top_k
    wanted = max(top_k, pipeline.reranker.candidates)
    depth = retriever.search.depth(wanted)  # of what is fused for a question that is asked
    legs = retriever.search.legs([query.text for query in queries], max(DEPTH, depth))
    with pipeline.timings.stage("fuse"):
        fused = [
            retriever.search.fused(_first(dense, depth), _first(bm25, depth), max(DEPTH, wanted))
            for dense, bm25 in legs
        ]
        hits = [retriever.hits(rows[:wanted]) for rows in fused]
    reranked = pipeline.rerank(queries, hits)
    found = []
    for number, (dense, bm25) in enumerate(legs):
        rankings = {"dense": list(dense), "bm25": list(bm25), "fused": [row.row for row in fused[number]]}
        if pipeline.reranker.candidates:
            row_of = dict(zip((hit.passage.id for hit in hits[number]), rankings["fused"], strict=False))
            order = [row_of[hit.passage.id] for hit in reranked[number]]
            rankings[trec.RERANKED] = [*order, *rankings["fused"][len(order) :]]
        found.append(rankings)
    return found, [mine[:top_k] for mine in reranked]


def _first(leg: Leg, count: int) -> Leg:
    return dict(islice(leg.items(), count))


def _read(
    pipeline: Pipeline, asked: Sequence[Located], hits: Sequence[Sequence[Hit]], *, gold_too: bool
) -> tuple[list[Answer | None], list[Answer | None]]:
    """What the reader makes of the hits of each question, and of the passage with most of its answer alone.

    None where the answer cannot be judged, or where there is no such passage; without ``gold_too`` both are the same.
    """
    # What is read of one question stands together: a reader may read a passage once that comes twice.
    read: dict[tuple[int, bool], Sequence[Hit]] = {}
    for row, one in enumerate(asked):
        if one.judged:
            read[row, False] = hits[row]
        if gold_too and one.answerable and one.rows:
            (passage,) = pipeline.retriever.catalog.passages(one.rows[:1])
            read[row, True] = [Hit(passage, 1.0)]
    queries = [asked[row].example.query for row, _ in read]
    answers = dict(zip(read, pipeline.read(queries, list(read.values())) if read else (), strict=True))
    of_hits, of_gold = ([answers.get((row, gold)) for row in range(len(asked))] for gold in (False, True))
    return of_hits, of_gold if gold_too else of_hits


def _record(
    asked: Located,
    rankings: Mapping[str, Sequence[int]],
    hits: Sequence[Hit],
    answer: Answer | None,
    with_gold: Answer | None,
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
    given, candidate, gold, top_k = answer.text, answer.unrefused, set(asked.rows), pipeline.config.top_k
    first = rankings.get("fused", rankings.get(OWN, ()))
    course = Course(
        asked.answerable,
        retrieved=bool(gold & set(first[:top_k])),
        read=None
        if asked.answerable and not gold
        else bool(gold & set(rankings.get(trec.RERANKED, first)[:top_k])),
        right=None if given is None else passes(asked, given, answer),
    )
    citations = [
        _citation(c.doc_id, Span(c.start, c.end), c.quote, asked, pipeline) for c in answer.citations
    ]
    return {
        **known,
        "answer": given,
        "candidate": candidate,
        "confidence": round(answer.confidence, 6),
        "right before the threshold": passes(asked, candidate, answer),
        "verdict": verdict(course).value,
        "scores": _scores(asked, answer, with_gold, hits) if asked.answerable else None,
        "citations": citations,
        **(_options(asked, answer) if asked.by_option else {}),
        **({"prompt tokens": told} if (told := answer.details.get("prompt_tokens")) else {}),
    }


def _options(asked: Located, answer: Answer) -> dict[str, Any]:
    """The options, and by number the right one and the one that the reader holds most likely."""
    options, candidate = list(asked.example.query.choices), answer.unrefused
    return {
        "options": options,
        "right option": asked.example.choice,
        "likeliest option": options.index(candidate) if candidate in options else None,
    }


def mark(asked: Located, given: str) -> float:
    """How right an answer is, 0 to 1: its token F1; of options 1 for the right one."""
    right = asked.example.answers
    return float(given == right[0]) if asked.by_option else f1(given, right)


def passes(asked: Located, said: str, answer: Answer) -> bool:
    """Whether what was said is right; the answer tells whether it is a whole sentence."""
    if not asked.answerable:
        return False
    if asked.by_option:
        return bool(mark(asked, said))
    is_sentence = answer.details.get("unit") == "sentence"
    return is_right(said, asked.example.answers, whole_sentence=is_sentence)


def _scores(
    asked: Located, answer: Answer, with_gold: Answer | None, hits: Sequence[Hit]
) -> dict[str, float]:
    given, accepted = answer.text, asked.example.answers
    if asked.by_option:
        found = {
            "accuracy": 0.0 if given is None else mark(asked, given),
            "accuracy before the threshold": mark(asked, answer.unrefused),
        }
        if with_gold is not None:
            found["accuracy with the gold passage"] = mark(asked, with_gold.unrefused)
        return found
    texts = [hit.passage.text.casefold() for hit in hits]
    return {
        "exact match": 0.0 if given is None else exact_match(given, accepted),
        "F1": 0.0 if given is None else f1(given, accepted),
        **rouge(given or "", accepted),
        "BLEU": bleu(given or "", accepted),
        "exact match before the threshold": exact_match(answer.unrefused, accepted),
        "F1 before the threshold": f1(answer.unrefused, accepted),
        "F1 with the gold passage": 0.0 if with_gold is None else f1(with_gold.unrefused, accepted),
        "perfect reader on these hits": float(any(a.casefold() in text for a in accepted for text in texts)),
    }


def _citation(doc_id: str, span: Span, quote: str, asked: Located, pipeline: Pipeline) -> dict[str, Any]:
    """A citation, whether its quote stands at its place, and how much of it and of the gold span they share."""
    stands = pipeline.retriever.catalog.document(doc_id).text[span.start : span.end] == quote
    shares: dict[str, float | None] = {"precision": None, "recall": None}
    if asked.place is not None:
        gold_document, gold = asked.place
        shared = (
            max(0, min(span.end, gold.end) - max(span.start, gold.start)) if gold_document == doc_id else 0
        )
        shares = {
            "precision": shared / max(1, span.end - span.start),
            "recall": shared / max(1, gold.end - gold.start),
        }
    return {
        "document": doc_id,
        "start": span.start,
        "end": span.end,
        "quote": quote,
        "stands": stands,
        **shares,
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
