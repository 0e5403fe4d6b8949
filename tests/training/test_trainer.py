"""The loop: batches, the learning rate, equal seeds, and runs that are cut short and go on."""

import itertools
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from ragqa.data import squad
from ragqa.errors import TrainingError
from ragqa.models.span import SpanModel
from ragqa.training.layers import freeze
from ragqa.training.objectives.span import SpanBatch, SpanObjective
from ragqa.training.schedule import Schedule, bucketed_batches, pieces
from ragqa.training.trainer import Trainer
from ragqa.windows import load_tokenizer

STEPS = 9
SCHEDULE = Schedule(
    epochs=3, batch_groups=12, learning_rate=3e-3, checkpoint_minutes=1e-9, validate_steps=2, warmup_share=0.2
)


@dataclass(frozen=True)
class Sized:
    length: int


@given(st.lists(st.integers(1, 400), max_size=300), st.integers(1, 40), st.integers(0, 99))
def test_batches_hold_every_group_once(lengths: list[int], size: int, seed: int) -> None:
    groups = [Sized(n) for n in lengths]
    batches = list(bucketed_batches(groups, size, np.random.default_rng(seed)))
    assert sorted(i for batch in batches for i in batch) == list(range(len(groups)))
    assert all(len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(groups) // size)
    if len(groups) <= 64 * size:
        assert max(map(len, batches), default=0) - min(map(len, batches), default=0) <= 1


def test_batches_hold_groups_of_like_lengths_in_random_order() -> None:
    groups = [Sized(int(n)) for n in np.random.default_rng(0).integers(10, 300, 640)]
    batches = list(bucketed_batches(groups, 10, np.random.default_rng(1)))
    spreads = [max(groups[i].length for i in b) - min(groups[i].length for i in b) for b in batches]
    assert max(spreads) < 20
    means = [np.mean([groups[i].length for i in b]) for b in batches]
    assert means != sorted(means)
    assert batches != list(bucketed_batches(groups, 10, np.random.default_rng(2)))


def test_the_learning_rate_rises_and_falls() -> None:
    schedule = Schedule(warmup_share=0.2)
    rates = [schedule.rate_at(step, 20) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert rates[4:] == pytest.approx([(20 - step) / 16 for step in range(4, 20)])
    assert schedule.rate_at(20, 20) == 0
    assert Schedule(warmup_share=0).rate_at(0, 10) == 1


@pytest.mark.parametrize(
    ("decay", "half", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0), ("constant", 1.0, 1.0)]
)
def test_each_decay_begins_at_the_whole_rate_and_ends_where_it_says(
    decay: str, half: float, end: float
) -> None:
    schedule = Schedule(warmup_share=0.2, decay=decay)
    assert schedule.rate_at(4, 20) == pytest.approx(1.0)
    assert schedule.rate_at(12, 20) == pytest.approx(half)
    assert schedule.rate_at(20, 20) == pytest.approx(end)
    assert schedule.rate_at(0, 20) == pytest.approx(0.25)


def test_batches_that_make_one_step_have_the_gradient_of_their_union(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    gradients = []
    for count in (1, 3):
        torch.manual_seed(0)
        model = SpanModel.from_backbone(tiny_bert, dropout=0.0)
        trainer = Trainer(
            model,
            SpanObjective(load_tokenizer(tiny_bert)),
            squad.load(questions),
            Schedule(batch_groups=4, accumulate_batches=count),
            tmp_path,
            dtype=torch.float32,
            validate=lambda _: 0.0,
            report=lambda _: None,
        )
        groups = trainer.epoch(0)[0][:12]
        size = len(groups) // count
        trainer._gradients([groups[at : at + size] for at in range(0, len(groups), size)])
        gradients.append({n: m.grad for n, m in trainer.weights.masters.items() if m.grad is not None})
    whole, parts = gradients
    assert whole.keys() == parts.keys()
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5) for name in whole)
    assert trainer.steps_per_epoch == 3  # 36 questions in batches of 4, three of them a step


@dataclass(frozen=True)
class Wide:
    rows: int
    length: int


@given(st.lists(st.builds(Wide, st.integers(1, 9), st.integers(1, 400)), max_size=40), st.integers(1, 3000))
def test_pieces_hold_every_group_once_and_fit_into_memory(groups: list[Wide], most: int) -> None:
    found = list(pieces(groups, most))
    assert [group for piece in found for group in piece] == groups
    for piece in found:
        tokens = sum(group.rows for group in piece) * max(group.length for group in piece)
        assert len(piece) == 1 or tokens <= most
    for piece, (following, *_) in itertools.pairwise(found):
        both = [*piece, following]
        assert sum(group.rows for group in both) * max(group.length for group in both) > most


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_optimizer_learns_and_resumes(
    tmp_path: Path, tiny_bert: Path, questions: Path, optimizer: str
) -> None:
    def trainer_of(folder: Path) -> tuple[Trainer, list[dict[str, Any]]]:
        torch.manual_seed(0)
        said: list[dict[str, Any]] = []
        rate = 3e-3 if optimizer == "adamw" else 0.1
        schedule = SCHEDULE.model_copy(
            update={"optimizer": optimizer, "learning_rate": rate, "head_learning_rate": rate}
        )
        found = Trainer(
            SpanModel.from_backbone(tiny_bert, dropout=0.0),
            SpanObjective(load_tokenizer(tiny_bert)),
            squad.load(questions),
            schedule,
            folder,
            dtype=torch.float32,
            validate=lambda _: 0.0,
            report=said.append,
        )
        return found, said

    whole, said = trainer_of(tmp_path / "whole")
    whole.train(resume=False)
    losses = [report["loss"] for report in said if "loss" in report]
    assert losses[-1] < losses[0]
    cut, _ = trainer_of(tmp_path / "cut")
    update = cut._update

    def fatal(batches: list[list[Any]], rate: float) -> float:
        if cut.step == 4:
            raise Cut
        return update(batches, rate)

    cut._update = fatal  # type: ignore[method-assign]
    with pytest.raises(Cut):
        cut.train(resume=False)
    again, _ = trainer_of(tmp_path / "cut")
    again.train(resume=True)
    assert_equal(weights(again), weights(whole))


class Cut(Exception):
    """What ends a run early."""


class CutObjective(SpanObjective):
    """Records each loss, and cuts the run at the loss of step ``at``."""

    def __init__(self, folder: Path, at: int | None = None) -> None:
        super().__init__(load_tokenizer(folder), hard_negative_share=0.3, unanswerable_share=0.2)
        self.at, self.losses = at, []  # type: ignore[var-annotated]

    def loss(self, model: SpanModel, batch: SpanBatch) -> torch.Tensor:
        if self.at is not None and len(self.losses) == self.at:
            raise Cut
        loss = super().loss(model, batch)
        self.losses.append(float(loss.detach()))
        return loss


Start = Callable[..., tuple[Trainer, CutObjective]]


@pytest.fixture
def start(tiny_bert: Path, questions: Path) -> Start:
    """A fresh trainer of the tiny model, writing to the given folder."""

    def make(
        folder: Path,
        at: int | None = None,
        dtype: torch.dtype = torch.float32,
        seed: int = 13,
        decay: float | None = None,
        dropout: float = 0.1,
    ) -> tuple[Trainer, CutObjective]:
        torch.manual_seed(seed)
        model = SpanModel.from_backbone(tiny_bert, dropout=dropout)
        freeze(model, ("encoder.embeddings.word_embeddings.",))
        objective = CutObjective(tiny_bert, at)
        reports: list[dict[str, Any]] = []
        trainer = Trainer(
            model,
            objective,
            squad.load(questions),
            SCHEDULE.model_copy(update={"seed": seed, "average_decay": decay}),
            folder,
            dtype=dtype,
            validate=lambda _: float(model.head.weight.float().mean()),
            report=reports.append,
        )
        return trainer, objective

    return make


def test_a_batch_that_is_read_in_pieces_has_the_same_loss_and_gradient(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for most in (10**6, 150, 1):
        monkeypatch.setattr("ragqa.training.trainer.MOST_TOKENS", most)
        trainer, objective = start(tmp_path, dropout=0.0)
        loss = trainer._gradients([trainer.epoch(0)[0][:12]])
        read = len(objective.losses)
        found.append(
            (read, loss, {n: m.grad for n, m in trainer.weights.masters.items() if m.grad is not None})
        )
    (once, whole, gradients), *others = found
    assert once == 1 < others[0][0] < others[1][0] == 12
    for _, loss, parts in others:
        assert loss == pytest.approx(whole, rel=1e-5)
        assert all(torch.allclose(gradients[name], parts[name], atol=1e-5) for name in gradients)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.weights.state().items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_seed_decides_every_loss(start: Start, tmp_path: Path, dtype: torch.dtype) -> None:
    (one, first), (two, second) = start(tmp_path / "1", dtype=dtype), start(tmp_path / "2", dtype=dtype)
    assert one.train(resume=False) == two.train(resume=False)
    assert first.losses == second.losses
    assert len(first.losses) == STEPS
    assert_equal(weights(one), weights(two))
    other, third = start(tmp_path / "3", dtype=dtype, seed=14)
    other.train(resume=False)
    assert third.losses != first.losses
    assert np.mean(first.losses[-3:]) < np.mean(first.losses[:3])


@pytest.mark.parametrize(("dtype", "decay"), [(torch.float32, None), (torch.bfloat16, 0.7)])
@pytest.mark.parametrize("at", [0, 1, 5, STEPS - 1])
def test_a_run_cut_short_ends_in_the_same_weights(
    start: Start, tmp_path: Path, at: int, dtype: torch.dtype, decay: float | None
) -> None:
    whole, expected = start(tmp_path / "whole", dtype=dtype, decay=decay)
    best = whole.train(resume=False)
    cut, before = start(tmp_path / "cut", at=at, dtype=dtype, decay=decay)
    with pytest.raises(Cut):
        cut.train(resume=False)
    resumed, after = start(tmp_path / "cut", dtype=dtype, decay=decay)
    assert resumed.train(resume=True) == best
    assert before.losses + after.losses == expected.losses
    assert_equal(weights(whole), weights(resumed))
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_ends_after_the_step_and_a_second_one_at_once(start: Start, tmp_path: Path) -> None:
    whole, expected = start(tmp_path / "whole")
    best = whole.train(resume=False)
    cut, before = start(tmp_path / "cut")
    update, former = cut._update, signal.getsignal(signal.SIGINT)

    def pressing(batches: list[list[Any]], rate: float) -> float:
        if cut.step == 2:
            signal.raise_signal(signal.SIGINT)
        return update(batches, rate)

    cut._update = pressing  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cut.train(resume=False)
    assert cut.step == 3
    assert len(before.losses) == 3
    assert signal.getsignal(signal.SIGINT) is former
    resumed, after = start(tmp_path / "cut")
    assert resumed.train(resume=True) == best
    assert before.losses + after.losses == expected.losses
    assert_equal(weights(whole), weights(resumed))

    hasty, losses = start(tmp_path / "hasty")

    def pressing_twice(batches: list[list[Any]], rate: float) -> float:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        return update(batches, rate)

    hasty._update = pressing_twice  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        hasty.train(resume=False)
    assert not losses.losses
    assert not hasty.begun


def test_where_ctrl_c_is_ignored_it_stays_so(start: Start, tmp_path: Path) -> None:
    """As in a run that a script started in the background."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        trainer, objective = start(tmp_path)
        update = trainer._update

        def pressing(batches: list[list[Any]], rate: float) -> float:
            signal.raise_signal(signal.SIGINT)
            return update(batches, rate)

        trainer._update = pressing  # type: ignore[method-assign]
        trainer.train(resume=False)
        assert len(objective.losses) == STEPS
    finally:
        signal.signal(signal.SIGINT, former)


def test_an_average_is_judged_and_kept_and_training_goes_on_without_it(start: Start, tmp_path: Path) -> None:
    plain, _ = start(tmp_path / "plain")
    expected, update, step = weights(plain), plain._update, 0

    def averaging(batches: list[list[Any]], rate: float) -> float:
        nonlocal step
        loss, step = update(batches, rate), step + 1
        share = 1 - min(0.7, (1 + step) / (10 + step))
        for name, weight in weights(plain).items():
            expected[name] = (1 - share) * expected[name] + share * weight
        return loss

    plain._update = averaging  # type: ignore[method-assign]
    plain.train(resume=False)
    trainer, _ = start(tmp_path / "averaged", decay=0.7)
    judged: list[torch.Tensor] = []

    def validate(model: Any) -> float:
        judged.append(model.head.weight.clone())
        return float(len(judged))  # the last is the best

    trainer.validate = validate
    trainer.train(resume=False)
    kept = load_file(tmp_path / "averaged" / "best.safetensors")
    assert kept.keys() == expected.keys()
    assert all(torch.allclose(kept[name], expected[name], atol=1e-6) for name in kept)
    assert torch.equal(judged[-1], kept["head.weight"])
    assert_equal(weights(trainer), weights(plain))


@pytest.mark.parametrize("fatal", [1, 2, 3, 4, 6])
def test_a_run_cut_while_it_saves_ends_in_the_same_weights(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    whole, _ = start(tmp_path / "whole")
    whole.train(resume=False)
    calls = 0

    def replace(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            raise Cut
        Path(source).rename(target)

    cut, _ = start(tmp_path / "cut")
    with monkeypatch.context() as patched:
        patched.setattr("ragqa.durable.os.replace", replace)
        with pytest.raises(Cut):
            cut.train(resume=False)
    resumed, _ = start(tmp_path / "cut")
    said: list[dict[str, Any]] = []
    resumed.report = said.append
    begun = resumed.begun
    resumed.train(resume=True)
    assert said[0]["goes_on"].startswith("after step" if begun else "from the beginning")
    assert_equal(weights(whole), weights(resumed))


def test_a_finished_run_stays_as_it_is(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path)
    best = trainer.train(resume=False)
    again, objective = start(tmp_path)
    assert again.train(resume=True) == best
    assert objective.losses == []
    assert_equal(weights(trainer), weights(again))


def test_frozen_parameters_stay_and_all_others_move(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train(resume=False)
    for name, parameter in trainer.model.named_parameters():
        frozen = name.startswith("encoder.embeddings.word_embeddings.")
        assert torch.equal(before[name], parameter) == frozen, name


def test_max_steps_ends_earlier(start: Start, tmp_path: Path) -> None:
    trainer, objective = start(tmp_path)
    trainer.schedule = Schedule(batch_groups=12, epochs=3, max_steps=4)
    trainer.train(resume=False)
    assert len(objective.losses) == 4


def test_a_checkpoint_of_another_schedule_is_refused(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path, at=4)
    with pytest.raises(Cut):
        trainer.train(resume=False)
    changed, _ = start(tmp_path)
    changed.schedule = SCHEDULE.model_copy(update={"learning_rate": 1e-3, "checkpoint_minutes": 9.0})
    with pytest.raises(TrainingError, match=r"another schedule: learning_rate 0\.003 there, 0\.001 here; "):
        changed.train(resume=True)


def test_a_run_stops_when_the_score_no_longer_rises_and_resuming_does_not_go_on(
    start: Start, tmp_path: Path
) -> None:
    def patient() -> Trainer:
        trainer, _ = start(tmp_path)
        trainer.schedule = SCHEDULE.model_copy(update={"patience": 2})
        trainer.validate = lambda _: 0.5
        return trainer

    first = patient()
    first.train(resume=False)
    assert (first.step, first.stale) == (6, 2)
    again = patient()
    assert again.train(resume=True) == 0.5
    assert again.step == 6


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_what_is_no_number_ends_the_run_and_the_weights_before_it_are_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    trainer, objective = start(tmp_path)
    honest, kept = objective.loss, []

    def loss(model: Any, batch: Any) -> torch.Tensor:
        value = honest(model, batch)
        if trainer.step < 3:
            return value
        kept.append(weights(trainer))
        if part == "loss":
            return value * float("nan")
        value.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[no-untyped-call]
        return value * 1.0

    monkeypatch.setattr(objective, "loss", loss)
    with pytest.raises(
        TrainingError, match=rf"the {part} of step 3 \(epoch 2, batch 1\) is .*last.safetensors"
    ):
        trainer.train(resume=False)
    monkeypatch.setattr(objective, "loss", honest)
    again, _ = start(tmp_path)
    again.go_on()
    assert again.step == 3
    assert_equal(kept[0], weights(again))
    slower, _ = start(tmp_path)
    slower.schedule = SCHEDULE.model_copy(update={"learning_rate": 1e-3, "head_learning_rate": 1e-3})
    slower.train(resume=True)
    assert slower.step == STEPS
    other, _ = start(tmp_path)
    other.schedule = SCHEDULE.model_copy(update={"learning_rate": 2e-3})
    with pytest.raises(TrainingError, match="another schedule"):  # its loss is a number again
        other.train(resume=True)


def test_a_run_that_is_cut_after_a_validation_knows_how_good_its_best_weights_are(
    start: Start, tmp_path: Path
) -> None:
    scores = iter([0.53, 0.51, 0.52, 0.5, 0.5, 0.5])
    rarely = {"checkpoint_minutes": 60.0}
    trainer, _ = start(tmp_path, at=5)  # validated after steps 2 and 4
    trainer.schedule = SCHEDULE.model_copy(update=rarely)
    trainer.validate = lambda _: next(scores)
    with pytest.raises(Cut):
        trainer.train(resume=False)
    again, _ = start(tmp_path)
    again.schedule = SCHEDULE.model_copy(update=rarely)
    again.validate = lambda _: next(scores)
    assert again.train(resume=True) == 0.53


def test_a_run_is_judged_once_an_epoch_unless_its_schedule_says_when(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path)
    trainer.schedule = Schedule(batch_groups=12)
    assert trainer.validate_steps == trainer.steps_per_epoch == 3
    trainer.steps_per_epoch = 10_000
    assert trainer.validate_steps == 2000  # a tenth of two epochs
    trainer.steps_per_epoch = 300
    assert trainer.validate_steps == 100
    trainer.schedule = Schedule(validate_steps=7)
    assert trainer.validate_steps == 7


def test_an_estimate_trains_nothing(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path)
    before = weights(trainer)
    assert trainer.seconds_per_step() > 0
    assert_equal(before, weights(trainer))
    assert trainer.step == 0


def layered(bert: Path, questions: Path, folder: Path, **schedule: Any) -> Trainer:
    """A trainer of a model with three layers and no dropout."""
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(
        bert, num_hidden_layers=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    return Trainer(
        SpanModel(BertModel(config, add_pooling_layer=False), config.hidden_size),
        SpanObjective(load_tokenizer(bert)),
        squad.load(questions),
        Schedule(batch_groups=12, **schedule),
        folder,
        dtype=torch.float32,
        validate=lambda _: 0.0,
        report=lambda _: None,
    )


def options_of(trainer: Trainer, key: str) -> dict[str, float]:
    """What the optimizer holds under ``key``, by the name of the parameter."""
    by_id = {id(p): group[key] for group in trainer.optimizer.param_groups for p in group["params"]}
    return {name: by_id[id(master)] for name, master in trainer.weights.masters.items()}


def test_matrices_decay_and_biases_and_norms_do_not(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    found = options_of(layered(tiny_bert, questions, tmp_path, weight_decay=0.02), "weight_decay")
    spared = {name for name in found if name.endswith(".bias") or "LayerNorm" in name}
    assert {"head.bias", "encoder.embeddings.LayerNorm.weight"} < spared
    assert {"head.weight", "encoder.embeddings.word_embeddings.weight"} < found.keys() - spared
    assert found == {name: 0.0 if name in spared else 0.02 for name in found}


def test_a_head_has_its_own_rate_and_lower_layers_lower_ones(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    trainer = layered(
        tiny_bert,
        questions,
        tmp_path,
        learning_rate=1e-3,
        head_learning_rate=7e-3,
        layer_rate_decay=0.5,
    )
    expected = {
        "head.": 7e-3,
        "encoder.encoder.layer.2.": 1e-3,
        "encoder.encoder.layer.1.": 0.5e-3,
        "encoder.encoder.layer.0.": 0.25e-3,
        "encoder.embeddings.": 0.125e-3,
    }
    for key in ("lr", "base_lr"):
        for name, rate in options_of(trainer, key).items():
            (wanted,) = (value for begin, value in expected.items() if name.startswith(begin))
            assert rate == pytest.approx(wanted), name


@pytest.mark.parametrize(("factor", "clipped"), [(1e3, True), (1e-3, False)])
def test_a_step_is_as_long_as_the_clipped_gradient_allows(
    tmp_path: Path,
    tiny_bert: Path,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    clipped: bool,
) -> None:
    rates = {"learning_rate": 1.0, "head_learning_rate": 1.0}
    trainer = layered(
        tiny_bert, questions, tmp_path, optimizer="sgd", clip_norm=0.5, weight_decay=0.0, **rates
    )
    honest = trainer.objective.loss
    monkeypatch.setattr(trainer.objective, "loss", lambda model, batch: factor * honest(model, batch))
    _, groups, batches = trainer._drawn
    chosen = [[groups[i] for i in batches[0]]]
    trainer._gradients(chosen)
    norm = length({n: m.grad for n, m in trainer.weights.masters.items() if m.grad is not None})
    assert (norm > 0.5) == clipped
    before = weights(trainer)
    trainer._update(chosen, 1.0)
    after = weights(trainer)
    # Nesterov's first step: the gradient, and 0.9 times it for the momentum that it began.
    moved = length({name: after[name] - before[name] for name in before})
    assert moved == pytest.approx(1.9 * min(norm, 0.5), rel=1e-3)


def length(vectors: dict[str, torch.Tensor]) -> float:
    return float(torch.cat([vector.flatten() for vector in vectors.values()]).norm())


def test_a_damaged_checkpoint_is_one_line(start: Start, tmp_path: Path) -> None:
    trainer, _ = start(tmp_path)
    (tmp_path / "last.safetensors").write_bytes(b"half of it")
    with pytest.raises(TrainingError, match=r"last\.safetensors is no checkpoint"):
        trainer.train(resume=True)
