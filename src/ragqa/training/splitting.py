"""Questions → training, validation and test: whole documents on one side, or questions about the same documents.

Whole documents tell how a model does on documents that nobody has asked about; what it learns of a document helps no
other. Questions tell how it does when the same documents are asked about again.
"""

import random
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Literal

from ragqa.errors import TrainingError
from ragqa.types import Example

LEAST_DOCUMENTS = 10
"""Where passages are what is learned from, and there are fewer documents, passages are put aside instead of these."""


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts that share no unit: no document that a question was written about, or no question.

    Validation picks the weights and fits the confidence; test only judges. How many units each holds out is known, too.
    """

    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    validation_units: int
    test_units: int


def wording(text: str) -> str:
    """A question without what does not change it: case, and how its words are spaced."""
    return " ".join(text.casefold().split())


def document_of(example: Example) -> str:
    """The document that an example was written about; that of the passage which does not answer, if none does.

    A question without any passage stands alone.
    """
    return _document(example, wording(example.query.text))


def _document(example: Example, question: str) -> str:
    passages = example.positives or example.hard_negatives
    return passages[0].doc_id if passages else f"question {question}"


def _question(example: Example) -> str:
    return wording(example.query.text)


def _as_spelt(example: Example, unit: "Unit") -> str:
    """Its unit as the data have it."""
    text = example.query.text
    return text if unit == "questions" else _document(example, text)


Unit = Literal["documents", "questions"]
_UNITS: Mapping[Unit, Callable[[Example], str]] = {"documents": document_of, "questions": _question}
_MORE: Mapping[Unit, str] = {
    "documents": 'give each question its "document", or leave that field out to split by passage',
    "questions": "write more questions, or hold fewer of them out",
}


def divide(
    examples: Sequence[Example],
    validation: int | Sequence[str] | None,
    test: int | None,
    seed: int,
    unit: Unit = "documents",
) -> Split:
    """Split ``examples``, each part in its old order.

    Args:
        validation, test: documents (or questions) in that part, how many or, of validation, which; None for a tenth
            of all, at least one.

    Raises:
        TrainingError: nothing would be left to train on, or a name is unknown.
    """
    unit_of = _UNITS[unit]
    # Ordered as they are spelt, so that a split stays as it was before spelling did not count.
    spelt = {_as_spelt(e, unit): unit_of(e) for e in examples}
    units = list(dict.fromkeys(spelt[name] for name in sorted(spelt)))
    tenth = max(1, len(units) // 10)
    test = tenth if test is None else test
    named: Sequence[str] = ()
    if validation is None or isinstance(validation, int):
        validation = tenth if validation is None else validation
    else:
        missing = sorted(set(validation).difference(spelt))
        if missing:
            raise TrainingError(
                f"validation_documents names {missing[0]!r}, which is none of the {len(units)} {unit}",
                accepted="names as the data have them",
            )
        named = sorted({spelt[name] for name in validation})
        validation = len(named)
    if validation + test >= len(units):
        raise TrainingError(
            f"{len(units)} {unit}, of which {validation + test} should be held out",
            accepted=f"more {unit} than that",
            next_step=_MORE[unit],
        )
    random.Random(seed).shuffle(units)
    units = [*named, *(name for name in units if name not in named)]
    held_out = dict.fromkeys(units[:validation], "validation")
    held_out |= dict.fromkeys(units[validation : validation + test], "test")
    parts: dict[str, list[Example]] = {"training": [], "validation": [], "test": []}
    for example in examples:
        parts[held_out.get(unit_of(example), "training")].append(example)
    if unit == "documents":
        parts["training"] = [_without_texts_of(held_out, example) for example in parts["training"]]
    training, validating, testing = (tuple(part) for part in parts.values())
    return Split(training, validating, testing, validation, test)


def _without_texts_of(held_out: Container[str], example: Example) -> Example:
    """A question about another document, without what else it names of held-out ones: training must not read them."""
    right = [p.doc_id not in held_out for p in example.positives]
    wrong = [p.doc_id not in held_out for p in example.hard_negatives]
    if all((*right, *wrong)):
        return example
    return replace(
        example,
        positives=tuple(compress(example.positives, right)),
        shares=tuple(compress(example.shares, right)),
        hard_negatives=tuple(compress(example.hard_negatives, wrong)),
    )


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples in an order that only ``seed`` decides."""
    found = list(examples)
    random.Random(seed).shuffle(found)
    return found
