"""Answers as plain records, and how each stage came to its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragqa import analysis
from ragqa.types import Answer, Hit, Query

if TYPE_CHECKING:
    from ragqa.pipeline import Pipeline

NEAR_MISSES = 3
"""How many hits below ``top_k`` an explanation shows."""


def hit_record(hit: Hit, page: int | None) -> dict[str, Any]:
    """A hit as JSON values."""
    passage = hit.passage
    return {
        "document": passage.doc_id,
        "title": passage.title,
        "page": page,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "score": round(hit.score, 6),
        "legs": {name: round(score, 6) for name, score in hit.legs.items()},
    }


def answer_record(query: str, answer: Answer, pipeline: "Pipeline") -> dict[str, Any]:
    """An answer as the JSON object of ``ragqa ask --json``; timings in seconds."""
    return {
        "query": query,
        "answer": answer.text,
        **({} if answer.data is None else {"data": answer.data}),
        **({"failure": answer.failure} if answer.failure else {}),
        "confidence": round(answer.confidence, 6),
        "sentence": answer.sentence if answer.text is not None else None,
        "note": answer.note,
        "citations": [
            {"document": c.doc_id, "page": c.page, "start": c.start, "end": c.end, "quote": c.quote}
            for c in answer.citations
        ],
        "sentences": sentence_records(answer),
        "hits": [hit_record(h, pipeline.page(h.passage.doc_id, h.passage.start)) for h in answer.hits],
        "timings": {name: round(seconds, 6) for name, seconds in pipeline.timings.seconds.items()},
    }


def sentence_records(answer: Answer) -> list[dict[str, Any]]:
    """The sentences of an answer; ``citations`` are places in those of the whole answer, from 0."""
    return [
        {
            "start": s.start,
            "end": s.end,
            "text": (answer.text or "")[s.start : s.end],
            "support": round(s.score, 6),
            "citations": [answer.citations.index(c) for c in s.citations],
        }
        for s in answer.sentences
    ]


@dataclass(frozen=True, slots=True)
class ExplainedHit:
    """A hit with its rank in each leg (None: not among that leg's candidates) and the terms it shares."""

    hit: Hit
    ranks: Mapping[str, int | None]
    matched: tuple[str, ...]
    read: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence behind one answer, stage by stage."""

    terms: tuple[str, ...]
    hits: tuple[ExplainedHit, ...]
    reader: Mapping[str, Any]
    seconds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "terms": list(self.terms),
            "hits": [
                {
                    "passage": e.hit.passage.id,
                    "score": e.hit.score,
                    "legs": dict(e.hit.legs),
                    "ranks": dict(e.ranks),
                    "matched": list(e.matched),
                    "read": e.read,
                }
                for e in self.hits
            ],
            "reader": dict(self.reader),
            "seconds": dict(self.seconds),
        }

    def lines(self) -> list[str]:
        """The explanation for a terminal."""
        lines = [
            f"query terms: {' '.join(self.terms) or '(none)'}",
            "",
            "hits (rank · fused score · leg: score, rank)",
        ]
        for rank, explained in enumerate(self.hits, 1):
            legs = "  ".join(
                f"{name} {explained.hit.legs[name]:.3f} #{place}" if place else f"{name} –"
                for name, place in explained.ranks.items()
            )
            note = "" if explained.read else "  (near miss: not read)"
            lines.append(f"{rank:3d}  {explained.hit.score:.3f}  {explained.hit.passage.id}  {legs}{note}")
            lines.append(f"       matched: {' '.join(explained.matched) or '(no term)'}")
        lines += ["", "reader"]
        lines += [f"  {name:<18} {_shown(value)}" for name, value in self.reader.items()]
        lines += [
            "",
            "time",
            *(f"  {name:<18} {1000 * value:8.1f} ms" for name, value in self.seconds.items()),
        ]
        return lines


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def explanation(pipeline: "Pipeline", text: str, answer: Answer) -> Explanation:
    """Why ``answer`` came out: ranks, scores, matched terms, near misses, the reader's figures and the time."""
    seconds = dict(pipeline.timings.seconds)
    candidates = pipeline.retrieve([Query(text)], 2 * pipeline.config.fusion.candidates)[0]
    wanted = tuple(dict.fromkeys(analysis.terms(text)))
    legs = dict.fromkeys(["dense", "bm25", *(leg for hit in candidates for leg in hit.legs)])
    ranks = {leg: _ranks(candidates, leg) for leg in legs}
    explained = []
    for place, hit in enumerate(candidates[: len(answer.hits) + NEAR_MISSES]):
        there = set(analysis.terms(hit.passage.titled_text))
        explained.append(
            ExplainedHit(
                hit,
                {leg: order.get(hit.passage.id) for leg, order in ranks.items()},
                tuple(term for term in wanted if term in there),
                read=place < len(answer.hits),
            )
        )
    reader = {"candidate": answer.unrefused, **answer.details}
    return Explanation(wanted, tuple(explained), reader, seconds)


def _ranks(hits: Sequence[Hit], leg: str) -> dict[str, int]:
    """1-based place of each passage in the ranking of one leg."""
    scored = sorted((h for h in hits if leg in h.legs), key=lambda h: -h.legs[leg])
    return {hit.passage.id: place for place, hit in enumerate(scored, 1)}
