"""Hard negatives: passages that a retriever ranks high for a question and that do not hold its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ragqa import plugins
from ragqa.analysis import terms
from ragqa.data import distinct_passages
from ragqa.protocols import TermIndex
from ragqa.training.splitting import Split
from ragqa.training.task import Report
from ragqa.types import Example, Passage

_BATCH = 1000


def mined(split: Split, count: int, report: Report) -> Sequence[Example]:
    """The training part, each question with passages that look right and are not: its own first, then BM25's."""
    if not count:
        return split.training
    report({"stage": "mining hard negatives"})
    passages = distinct_passages([*split.training, *split.validation, *split.test])
    index = plugins.build("indexes", {"name": "bm25"})
    index.add([terms(p.titled_text) for p in passages])
    return list(with_hard_negatives(split.training, passages, index, count))


def with_hard_negatives(
    examples: Sequence[Example], passages: Sequence[Passage], index: TermIndex, count: int
) -> Iterator[Example]:
    """Each example with its own negatives and, up to ``count``, the best-ranked passages that hold none of its answers.

    A question without an answer keeps its own alone: nothing tells that another passage does not answer it.

    Args:
        index: a term index whose rows are ``passages``.
    """
    for at in range(0, len(examples), _BATCH):
        batch = examples[at : at + _BATCH]
        ranked = index.search([terms(e.query.text) for e in batch], 4 * count)
        for example, (_, rows) in zip(batch, ranked, strict=True):
            found = [passages[int(row)] for row in rows]
            own = example.hard_negatives
            mined = [p for p in found if p not in own and _is_negative(p, example)] if example.answers else []
            yield replace(example, hard_negatives=(*own, *mined[: max(0, count - len(own))]))


def _is_negative(passage: Passage, example: Example) -> bool:
    text = passage.text.casefold()
    gold = {p.id for p in example.positives}
    return passage.id not in gold and not any(answer.casefold() in text for answer in example.answers)
