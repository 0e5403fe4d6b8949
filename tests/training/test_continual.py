"""The hook of continual learning: what is learned, what is added to the loss, what is left for the next task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ragqa import checkpoints
from ragqa.continual.none import NoneContinual
from ragqa.data import squad
from ragqa.models.span import SpanModel
from ragqa.protocols import Continual, Tunable
from ragqa.training.objectives.span import SpanObjective
from ragqa.training.run import finetune
from ragqa.training.schedule import Schedule
from ragqa.training.settings import ReaderRun
from ragqa.training.trainer import Trainer
from ragqa.types import Example
from ragqa.windows import load_tokenizer


class Anchored:
    """Learns everything twice and is held to where it began."""

    def begin_task(self, model: Tunable, examples: Sequence[Example]) -> Sequence[Example]:
        assert isinstance(model, SpanModel)
        self.start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self.learned = len(examples)
        return [*examples, *examples]

    def penalty(self, model: Any) -> Tensor:
        pulls = [((w - self.start[n].to(w.dtype)) ** 2).sum() for n, w in model.named_parameters()]
        return 1e4 * torch.stack(pulls).sum()

    def end_task(self, folder: Path) -> None:
        (folder / "anchor.txt").write_text(str(self.learned), encoding="utf-8")


def trained(folder: Path, bert: Path, questions: Path) -> tuple[Path, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []
    run = ReaderRun(
        data=(questions,),
        output=folder,
        backbone=str(bert),
        start_from=None,
        storage="float32",
        validation_documents=1,
        test_documents=0,
        hard_negatives=0,
        schedule=Schedule(epochs=2, batch_groups=12, learning_rate=1e-3),
    )
    return finetune(run, resume=False, report=said.append).model, said


def moved(model: Path, bert: Path) -> float:
    """How far the encoder is from where it began."""
    torch.manual_seed(0)
    start = dict(SpanModel.from_backbone(bert, dropout=0.0).named_parameters())
    found = checkpoints.load_tensors(model / "model.safetensors")
    return sum(
        float((found[n].float() - w.detach()).norm())
        for n, w in start.items()
        if "encoder.layer" in n and n in found
    )


def test_a_strategy_chooses_what_is_learned_pulls_and_leaves_something(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, told = trained(tmp_path / "free", tiny_bert, questions)
    monkeypatch.setattr("ragqa.continual.none.NoneContinual", Anchored)
    held, told_held = trained(tmp_path / "held", tiny_bert, questions)
    assert (held / "anchor.txt").read_text(encoding="utf-8") == "30"
    steps = [next(values["steps"] for values in said if "steps" in values) for said in (told, told_held)]
    assert steps == [6, 10]  # two epochs in batches of 12: of 30 questions, and of 60
    assert 0 < moved(held, tiny_bert) < moved(free, tiny_bert) / 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_penalty_counts_once_a_step_however_many_batches_it_has(
    tmp_path: Path, tiny_bert: Path, questions: Path, count: int
) -> None:
    class Weighing(NoneContinual):
        def penalty(self, model: Any) -> Tensor:
            return torch.stack([(w**2).sum() for w in model.parameters()]).sum()

    def gradients(continual: Continual) -> dict[str, Tensor]:
        torch.manual_seed(0)
        trainer = Trainer(
            SpanModel.from_backbone(tiny_bert, dropout=0.0),
            SpanObjective(load_tokenizer(tiny_bert)),
            squad.load(questions),
            Schedule(batch_groups=4),
            tmp_path,
            dtype=torch.float32,
            validate=lambda _: 0.0,
            report=lambda _: None,
            continual=continual,
        )
        groups = trainer.epoch(0)[0][:12]
        size = len(groups) // count
        trainer._gradients([groups[at : at + size] for at in range(0, len(groups), size)])
        found = {}
        for name, weight in trainer.weights.masters.items():
            assert weight.grad is not None
            found[name] = weight.grad - (2 * weight.detach() if isinstance(continual, Weighing) else 0)
        return found

    plain, weighed = gradients(NoneContinual()), gradients(Weighing())
    assert all(torch.allclose(plain[name], weighed[name], atol=1e-4) for name in plain)
