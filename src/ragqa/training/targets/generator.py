"""The generator: a language model that learns to write the answer from the passages, or a decoder on an encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ragqa import backbone, checkpoints, data, plugins
from ragqa.data.faults import OnBad
from ragqa.errors import TrainingError
from ragqa.models.generator import Generator, is_writer, load_generator, load_writer_tokenizer
from ragqa.models.placing import placed
from ragqa.prompting import Prompter
from ragqa.training import checking
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.objectives.generation import WritingGroup, WritingObjective
from ragqa.training.pointing import MEASURES, pointer_task, with_others
from ragqa.training.settings import GeneratorRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import PEFT, lay_over
from ragqa.training.task import Report, Task
from ragqa.types import Example

_BATCH = 16


def examples(run: GeneratorRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``."""
    if is_writer(backbone.resolve(run.backbone)):
        return data.read_all(run.data, run.max_questions, run.split_seed, on_bad)
    return checking.readable(run, on_bad)


def task(run: GeneratorRun, split: Split, report: Report) -> Task:
    """What the backbone of ``run`` becomes: a language model stays one, an encoder gets a decoder.

    Raises:
        ConfigError: a prompt that cannot be read.
        TrainingError: a setting that is for the other of the two; no validation question; see also ``pointer_task``.
    """
    folder = backbone.resolve(run.backbone)
    if is_writer(folder):
        checking.refuse_given(
            run,
            run.for_decoders,
            f"{run.backbone} is a language model, which begins as it is, keeps its layers "
            "and is stored by transformers",
            "an encoder as the backbone, or no such setting",
        )
        if run.reward is None:
            checking.refuse_given(run, ("reward_share",), "there is no reward", "reward: f1 or rouge_l")
        return _language_model(run, split, report, folder)
    checking.refuse_given(
        run,
        run.for_language_models,
        f"the backbone {run.backbone} only encodes, and its decoder is trained without it",
        "a language model as the backbone, or no such setting",
    )
    return pointer_task(run, split, report)


def _language_model(run: GeneratorRun, split: Split, report: Report, folder: Path) -> Task:
    """The language model in ``folder``."""
    model = Generator.from_folder(folder, run.dropout)
    tokenizer = load_writer_tokenizer(folder)
    room = model.room(run.max_answer_tokens, plugins.build("tuning", run.tuning.options()))
    objective = WritingObjective(
        tokenizer,
        Prompter(tokenizer, template=run.prompt, max_tokens=min(run.max_prompt_tokens, room)),
        is_seq2seq=model.is_seq2seq,
        passages=run.passages,
        unanswerable_share=run.unanswerable_share,
        smoothing=run.label_smoothing,
        reward=run.reward,
        reward_share=run.reward_share,
        max_answer_tokens=run.max_answer_tokens,
    )
    validation = shuffled([e for e in split.validation if e.answers], run.split_seed)
    _, asked = _asked(objective, validation[: run.validation_questions])
    if not asked:
        raise TrainingError(
            "no validation question can be used as it is",
            accepted="answers and passages that find room in max_answer_tokens and max_prompt_tokens",
        )
    return Task(
        model,
        objective,
        with_others(run, split, report),
        "F1",
        lambda m: float(np.mean(written_scores(m, objective, asked)["F1"])),
        goes_on=True,
        save=partial(_save, run),
        finish=lambda _: None,
        compare=lambda stored: _compare(folder, stored, objective, split),
    )


def _asked(
    objective: WritingObjective, examples: Sequence[Example]
) -> tuple[list[Example], list[WritingGroup]]:
    """Each question, and its group with its own passage alone; one whose words find no room is left out."""
    rng = np.random.default_rng(0)
    drawn = [(e, objective.group(replace(e, hard_negatives=()), rng)) for e in examples]
    return [e for e, group in drawn if group is not None], [group for _, group in drawn if group is not None]


def written_scores(model: Generator, objective: WritingObjective, asked: Sequence[WritingGroup]) -> Scores:
    """Each measure of what ``model`` writes for each question, in their order."""
    found: dict[int, str] = {}
    order = sorted(range(len(asked)), key=lambda row: len(asked[row].prompt))
    for at in range(0, len(order), _BATCH):
        rows = order[at : at + _BATCH]
        prompts = [asked[row].prompt for row in rows]
        written = model.write(prompts, objective.tokenizer, max_tokens=objective.max_answer_tokens)
        for row, one in zip(rows, written, strict=True):
            found[row] = objective.tokenizer.decode(one.ids, skip_special_tokens=True).strip()
    return {
        name: [measure(found[row], group.accepted) for row, group in enumerate(asked)]
        for name, measure in MEASURES.items()
    }


def _compare(before: Path, stored: Path, objective: WritingObjective, split: Split) -> Comparison | None:
    """What the stored model writes beside the one before it, on the answerable questions of the test part."""
    examples, asked = _asked(objective, [e for e in split.test if e.answers])
    if not asked:
        return None
    return compare(
        written_scores(placed(load_generator(before)), objective, asked),
        written_scores(placed(load_generator(stored)), objective, asked),
        examples,
    )


def _save(run: GeneratorRun, target: Path, tensors: Mapping[str, Tensor], best: float) -> None:
    """A whole model as transformers loads it, or what training added to one."""
    source = backbone.resolve(run.backbone)
    model = Generator.from_folder(source)
    tuning = lay_over(run, model, tensors, target)
    tuning.export(model, target / PEFT)
    if run.tuning.name == "full":
        model.encoder.save_pretrained(target)
    else:
        config: dict[str, Any] = {
            "kind": "generator",
            "backbone": backbone.lasting_name(run.backbone),
            "digest": backbone.digest(source),
            "tuning": run.tuning.options(),
            "best_validation_f1": round(best, 4),
        }
        checkpoints.save(target, tensors, config, "float32")
    load_writer_tokenizer(source).save_pretrained(target)
