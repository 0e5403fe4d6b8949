"""Questions → training, validation and test, with whole documents on one side, so that nothing leaks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ragqa.errors import TrainingError
from ragqa.types import Example


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts that share no document that a question was written about.

    Validation picks the weights and fits the confidence; test only judges.
    """

    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


def document_of(example: Example) -> str:
    """The document that an example was written about; that of the passage which does not answer, if none does.

    A question without any passage stands alone.
    """
    passages = example.positives or example.hard_negatives
    return passages[0].doc_id if passages else f"question {example.query.text}"


def by_document(
    examples: Sequence[Example], validation: int | Sequence[str] | None, test: int | None, seed: int
) -> Split:
    """Split ``examples``, each part in its old order.

    Args:
        validation, test: documents in that part, how many or, of validation, which; None for a tenth of all, at
            least one.

    Raises:
        TrainingError: no document would be left to train on.
    """
    documents = sorted({document_of(e) for e in examples})
    tenth = max(1, len(documents) // 10)
    test = tenth if test is None else test
    named: Sequence[str] = ()
    if validation is None or isinstance(validation, int):
        validation = tenth if validation is None else validation
    else:
        named = [name for name in documents if name in set(validation)]
        validation = len(named)
    if validation + test >= len(documents):
        raise TrainingError(
            f"{len(documents)} documents, of which {validation + test} should be held out",
            accepted="more documents than that: questions of one document are never split",
            next_step='give each question its "document", or leave that field out to split by passage',
        )
    random.Random(seed).shuffle(documents)
    documents = [*named, *(name for name in documents if name not in named)]
    held_out = dict.fromkeys(documents[:validation], "validation")
    held_out |= dict.fromkeys(documents[validation : validation + test], "test")
    parts: dict[str, list[Example]] = {"training": [], "validation": [], "test": []}
    for example in examples:
        parts[held_out.get(document_of(example), "training")].append(example)
    return Split(*(tuple(part) for part in parts.values()))


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples in an order that only ``seed`` decides."""
    found = list(examples)
    random.Random(seed).shuffle(found)
    return found
