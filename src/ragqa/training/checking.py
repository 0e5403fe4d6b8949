"""Before training: what of the questions can be learned from, and whether that is enough."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from ragqa import backbone, data
from ragqa.analysis import is_han
from ragqa.errors import DataError, TrainingError
from ragqa.evaluation.answers import answer_tokens
from ragqa.literacy import Literacy
from ragqa.training.settings.run import Labels, Run
from ragqa.training.splitting import wording
from ragqa.types import Example
from ragqa.windows import load_tokenizer

LEAST = 20
"""Answerable training questions below which nothing is learned but those questions."""

WORTHWHILE = 200


def readable(
    run: Run, on_bad: Callable[[DataError], None], reads: Callable[[Literacy, str], bool] = Literacy.reads
) -> list[Example]:
    """The questions of ``run.data`` that a model on ``run.backbone`` can read.

    Args:
        reads: by which rule, that of asking: no question is trained that is never asked.

    Raises:
        DataError: none is left.
    """
    examples = data.read_all(run.data, run.max_questions, run.split_seed, on_bad)
    if not any(is_han(e.query.text) for e in examples):
        return examples
    literacy = Literacy(load_tokenizer(backbone.resolve(run.backbone)))
    why = f"Chinese, which the vocabulary of the backbone ({run.backbone}) does not hold"
    help_ = {
        "accepted": "questions in a language of the backbone",
        "next_step": "--backbone FOLDER of a Chinese or multilingual encoder",
    }
    found = []
    for example in examples:
        if is_han(example.query.text) and not reads(literacy, example.query.text):
            on_bad(DataError(f"{_name(example)} has {why}", **help_))
        else:
            found.append(example)
    if not found:
        raise DataError(f"all {len(examples)} questions have {why}", **help_)
    return found


def consistent(examples: Sequence[Example], on_bad: Callable[[DataError], None]) -> list[Example]:
    """The examples without repetitions and contradictions.

    Of questions that ask the same about the same passage the first counts, and ``on_bad`` is told of each later one:
    whether it says the same, or shares no word with the answers of the first, or calls unanswerable what was answered.
    """
    first: dict[tuple[tuple[str, ...], str], Example] = {}
    for example in examples:
        passages = example.positives or example.hard_negatives
        asked = (wording(example.query.text), *sorted(example.query.choices))
        key = (asked, passages[0].text if passages else "")
        known = first.setdefault(key, example)
        if known is not example:
            on_bad(_repeated(known, example))
    return list(first.values())


def _repeated(known: Example, example: Example) -> DataError:
    if _contradicts(known, example):
        return DataError(
            f"{_name(example)}: {_said(example)}, but {_name(known)} asks the same and says {_said(known)}",
            accepted="one label for a question and its passage; the first is kept",
        )
    return DataError(
        f"{_name(example)}: asked before, as {_name(known)}",
        accepted="each question about a passage once; the first is kept",
    )


def require_signal(training: Sequence[Example], validation: Sequence[Example], labels: Labels) -> None:
    """Refuse questions from which nothing can be learned, or by which nothing can be judged.

    Raises:
        TrainingError: too few labelled questions, one label for all of them, or none that validates.
    """
    found = [label for e in training if (label := _label(e, labels)) is not None]
    lacking = {
        "answers": "answerable questions",
        "passages": "questions with their passage",
        "choices": "questions with choices, of which one is right,",
        "texts": "passages of documents",
    }[labels]
    if len(found) < LEAST:
        raise TrainingError(
            f"{len(found)} {lacking} are left for training{'' if found else _what_there_is(training)}",
            accepted=f"{LEAST} or more; {WORTHWHILE} or more are worth the time",
            next_step="more documents"
            if labels == "texts"
            else "write more questions, about several documents",
        )
    if not any(_label(e, labels) is not None for e in validation):
        raise TrainingError(
            f"the validation documents hold no {lacking.rstrip(',')}",
            accepted="one or more",
            next_step="set validation_documents higher, or split_seed to another number",
        )
    if len(set(found)) == 1:
        one = labels.removesuffix("s")
        raise TrainingError(
            f"all {len(found)} training questions have the {one} {found[0][:60]!r}",
            accepted=f"questions with different {labels}: with one {one} there is nothing to tell apart",
        )


def refuse_given(run: BaseModel, names: Sequence[str], because: str, accepted: str) -> None:
    """Refuse settings of ``run`` that would decide nothing; one that is null, or as it comes, is not meant.

    Raises:
        TrainingError: one of ``names`` was given.
    """
    for name in names:
        if getattr(run, name) not in (None, type(run).model_fields[name].get_default()):
            raise TrainingError(f"{name} = {getattr(run, name)}: {because}", accepted=accepted)


def _what_there_is(training: Sequence[Example]) -> str:
    """What questions that a target cannot learn from have instead: the data may be meant for another target."""
    has = {
        "answers": any(e.answers for e in training),
        "passages": any(e.positives for e in training),
        "choices": any(e.choice is not None for e in training),
    }
    names = [name for name, there in has.items() if there]
    return f": the {len(training)} there are have {' and '.join(names)} alone" if names else ""


def _label(example: Example, labels: Labels) -> str | None:
    if labels == "answers":
        return " ".join(answer_tokens(example.answers[0])) if example.answers else None
    if labels == "choices":
        return _chosen(example)
    return example.positives[0].text if example.positives else None


def _chosen(example: Example) -> str | None:
    return None if example.choice is None else example.query.choices[example.choice]


def _contradicts(one: Example, other: Example) -> bool:
    if bool(one.answers) != bool(other.answers) or _chosen(one) != _chosen(other):
        return True
    words = {token for answer in one.answers for token in answer_tokens(answer)}
    others = {token for answer in other.answers for token in answer_tokens(answer)}
    return bool(words and others) and not words & others


def _name(example: Example) -> str:
    return f"question {example.query.id!r}"


def _said(example: Example) -> str:
    if (chosen := _chosen(example)) is not None:
        return repr(chosen)
    return repr(example.answers[0]) if example.answers else "that nothing answers it"
