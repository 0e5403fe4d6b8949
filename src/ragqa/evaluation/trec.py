"""Rankings and judgements as files that every tool of information retrieval reads.

A line of a run is ``query Q0 document rank score tag``, one of judgements ``query 0 document grade``. Documents are
rows of the index; white space in the id of a query is written as in a web address.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ragqa.evaluation.retrieval import Qrels, Run

RERANKED = "reranked"
"""The name of the ranking after a reranker."""


def qrels_of(records: Sequence[Mapping[str, Any]]) -> Qrels:
    """The gold rows of each question that has some."""
    return {r["id"]: {str(row): 1 for row in r["gold rows"]} for r in records if r["gold rows"]}


def last_ranking(records: Sequence[Mapping[str, Any]]) -> str:
    """The name of the ranking that the reader was given."""
    return RERANKED if any(RERANKED in r["rankings"] for r in records) else "fused"


def run_of(records: Sequence[Mapping[str, Any]], ranking: str) -> Run:
    """One ranking of every question; the score of a document is its place, turned round."""
    return {
        r["id"]: {row: -float(place) for place, row in enumerate(ranking_of(r, ranking))} for r in records
    }


def ranking_of(record: Mapping[str, Any], ranking: str) -> list[str]:
    """One ranking of a question, best first; empty where the question has none of this name."""
    return [str(row) for row in record["rankings"].get(ranking, ())]


def run_lines(run: Run, tag: str) -> str:
    """``run`` in TREC's form."""
    return "".join(
        f"{_word(query)} Q0 {document} {rank} {score:g} {tag}\n"
        for query, found in run.items()
        for rank, (document, score) in enumerate(found.items(), 1)
    )


def qrels_lines(qrels: Qrels) -> str:
    """``qrels`` in TREC's form."""
    return "".join(
        f"{_word(query)} 0 {document} {grade}\n"
        for query, judged in qrels.items()
        for document, grade in judged.items()
    )


def _word(text: str) -> str:
    return quote(text, safe="-_.:/")
