"""Hard negatives: passages that a retriever ranks high for a question and that do not answer it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ragqa.config import load_config
from ragqa.data import distinct_passages
from ragqa.evaluation.answers import occurrences
from ragqa.training.retrieval import MemoryRetriever, Retrieves, TermRetriever
from ragqa.training.settings import MiningConfig
from ragqa.training.splitting import Split
from ragqa.training.task import Report
from ragqa.types import Example, Hit, Passage

_BATCH = 1000


@dataclass
class Tally:
    """How many of the passages looked at were taken for false negatives: they hold the answer, or score too high."""

    seen: int = 0
    removed: int = 0

    @property
    def percent(self) -> float:
        return round(100 * self.removed / max(1, self.seen), 1)


def searched(split: Split, mining: MiningConfig, passages: Sequence[Passage] | None = None) -> Retrieves:
    """The retriever of ``mining`` over ``passages``, or over those of all questions."""
    if passages is None:
        passages = distinct_passages([*split.training, *split.validation, *split.test])
    if mining.retriever == "bm25":
        return TermRetriever(passages)
    return MemoryRetriever(passages, load_config(mining.config))


def mined(
    split: Split, retriever: Retrieves, count: int, mining: MiningConfig, report: Report
) -> Sequence[Example]:
    """The training part, each question with ``count`` negatives: its own first, then those of ``retriever``."""
    report({"stage": "mining hard negatives", "with": mining.retriever})
    tally = Tally()
    found = list(with_hard_negatives(split.training, retriever, count, mining, tally, _held_out(split)))
    report({"false_negatives_removed_percent": tally.percent})
    return found


def _held_out(split: Split) -> frozenset[str]:
    """Passages that only held-out questions ask for: training must not learn that they are wrong."""
    known = {p.id for p in distinct_passages(split.training)}
    return frozenset(p.id for p in distinct_passages([*split.validation, *split.test]) if p.id not in known)


def with_hard_negatives(
    examples: Sequence[Example],
    retriever: Retrieves,
    count: int,
    mining: MiningConfig,
    tally: Tally,
    held_out: frozenset[str] = frozenset(),
) -> Iterator[Example]:
    """Each example with its own negatives and, up to ``count``, the best-ranked passages that do not answer it.

    A question without an answer keeps its own alone: nothing tells that another passage does not answer it.

    Args:
        held_out: ids of passages that are never taken.
    """
    for at in range(0, len(examples), _BATCH):
        batch = examples[at : at + _BATCH]
        ranked = retriever.retrieve([e.query.text for e in batch], mining.last_rank)
        for example, hits in zip(batch, ranked, strict=True):
            own = example.hard_negatives
            room = max(0, count - len(own)) if example.positives else 0
            ranked_here = hits[mining.first_rank - 1 :]
            found = [h for h in ranked_here if h.passage not in own and h.passage.id not in held_out]
            kept = _negatives(found, hits, example, mining.margin, tally) if room else []
            yield replace(example, hard_negatives=(*own, *(hit.passage for hit in kept[:room])))


def _negatives(
    found: Sequence[Hit], hits: Sequence[Hit], example: Example, margin: float | None, tally: Tally
) -> list[Hit]:
    """The hits that neither are a gold passage, nor hold an answer, nor score nearly as high as the gold passage.

    The last is the filter of Moreira et al. 2024 (arXiv:2407.15831): a hit above ``margin`` times the score of the
    gold passage is likely to answer, too.
    """
    gold = {p.id for p in example.positives}
    # Where the gold passage was not found every hit outranks it, and any of them may answer.
    best = max((hit.score for hit in hits if hit.passage.id in gold), default=-math.inf)
    highest = math.inf if margin is None else margin * best
    others = [hit for hit in found if hit.passage.id not in gold]
    kept = [
        hit for hit in others if hit.score <= highest and not occurrences(hit.passage.text, example.answers)
    ]
    tally.seen += len(others)
    tally.removed += len(others) - len(kept)
    return kept
