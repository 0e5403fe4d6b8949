"""The training loop: accumulation, clipping, warm-up and decay, validation, exact resume.

The loop knows nothing of tasks: an objective turns examples into groups and batches and gives the loss; a
``validate`` function gives the score that picks the best weights.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ragqa.continual.none import NoneContinual
from ragqa.errors import TrainingError
from ragqa.protocols import Continual
from ragqa.training.allocator import give_back
from ragqa.training.averaging import Average
from ragqa.training.interrupting import asked_to_stop
from ragqa.training.optimizer import optimizer_of
from ragqa.training.precision import MasterWeights
from ragqa.training.resuming import Checkpoint, Position, save_tensors
from ragqa.training.run_folder import BEST, LAST, elsewhere
from ragqa.training.schedule import LEAST_UNJUDGED, Schedule, bucketed_batches, pieces
from ragqa.training.workers import Workers
from ragqa.types import Example

GIVE_BACK_STEPS = 50
"""How often freed memory goes back: a reader's run on 8,000 questions takes 5,061 MiB so, and 6,103 where none does."""

MOST_TOKENS = 24_576
"""Read at once, with gradients: some 5 GB of activations in a small encoder. Few batches are larger: long passages with
every one of several options."""


class Objective(Protocol):
    """The task: examples → groups → batch → loss.

    ``by_group``: whether each example that can be used makes a group, and the loss of a batch is the mean of those of
    its groups, each of which then tells its ``rows``; a batch that would not fit into memory is read in pieces.
    """

    by_group: bool

    def prepare(self, examples: Sequence[Example]) -> None: ...

    def group(self, example: Example, rng: np.random.Generator) -> Any: ...

    def collate(self, groups: Sequence[Any]) -> Any: ...

    def loss(self, model: Any, batch: Any) -> Tensor: ...


class Trainer:
    """Trains ``model`` on ``examples`` and keeps its state in ``folder`` so that a killed run can go on."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        examples: Sequence[Example],
        schedule: Schedule,
        folder: Path,
        *,
        dtype: torch.dtype,
        validate: Callable[[nn.Module], float],
        report: Callable[[dict[str, Any]], None],
        workers: Workers | None = None,
        continual: Continual | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.objective, self.examples = model, objective, examples
        self.validate, self.report = validate, report
        self.workers, self.identity = workers or Workers(), identity
        self.continual = continual or NoneContinual()
        self.weights = MasterWeights(model, dtype)
        self.objective.prepare(examples)
        self._set_out(schedule, folder)

    def _set_out(self, schedule: Schedule, folder: Path) -> None:
        self.schedule, self.folder, self._last = schedule, folder, folder / LAST
        self.optimizer = optimizer_of(self.model, self.weights.masters, schedule)
        decay = schedule.average_decay
        self.average = Average(self.weights.masters, decay) if decay is not None else None
        self.step, self.best, self.stale = 0, -math.inf, 0
        self._diverged = self._went_on = False
        self._draw(0)
        if not self._drawn[1]:
            raise TrainingError(
                f"none of the {len(self.examples)} training questions can be used as they are",
                accepted="answers and passages that fit into the model's input",
            )
        self.steps_per_epoch = -(-len(self._drawn[2]) // schedule.accumulate_batches)

    @property
    def unused(self) -> int:
        """Examples that nothing was learned from in the epoch drawn last; 0 where a group holds several examples."""
        return len(self.examples) - len(self._drawn[1]) if self.objective.by_group else 0

    def begin_again(self, weights: Mapping[str, Tensor], schedule: Schedule, folder: Path) -> None:
        """Be as before the first step, with these weights: the same examples, another schedule, another folder."""
        self.weights.load(weights)
        self._set_out(schedule, folder)

    @property
    def steps(self) -> int:
        """Steps of the whole run, unless it stops early."""
        whole = self.steps_per_epoch * self.schedule.epochs
        return min(whole, self.schedule.max_steps or whole)

    @property
    def validate_steps(self) -> int:
        """Steps between two validations."""
        return self.schedule.validate_steps or min(
            self.steps_per_epoch, max(LEAST_UNJUDGED, self.steps // 10)
        )

    def seconds_per_step(self, batches: int = 4) -> float:
        """Measured on batches of every length; trains nothing."""
        _, groups, planned = self._drawn
        ordered = sorted(planned, key=lambda batch: max(groups[i].length for i in batch))
        count = min(batches, len(ordered))
        # The middle of each part: the longest batches are the slowest by far, and count as much as the shortest.
        chosen = [ordered[(2 * part + 1) * len(ordered) // (2 * count)] for part in range(count)]
        self.model.train()
        self._gradients([[groups[i] for i in chosen[0]]])  # the first pays for every allocation
        started = time.perf_counter()
        for batch in chosen:
            self._gradients([[groups[i] for i in batch]])
        return self.schedule.accumulate_batches * (time.perf_counter() - started) / len(chosen)

    def _draw(self, number: int) -> None:
        self._drawn: tuple[int, list[Any], list[list[int]]] = (
            number,
            [],
            [],
        )  # never those of two epochs in memory
        self._drawn = (number, *self.epoch(number))

    def epoch(self, number: int) -> tuple[list[Any], list[list[int]]]:
        """Groups and batches of one epoch, a function of the seed and ``number`` alone."""
        rng = np.random.default_rng([self.schedule.seed, number])
        drawn = (self.objective.group(e, rng) for e in self.examples)
        groups = [g for g in drawn if g is not None]
        return groups, list(bucketed_batches(groups, self.schedule.batch_groups, rng))

    def train(self, *, resume: bool) -> float:
        """Run to the end (or on from the last checkpoint) and return the best validation score."""
        steps = self.steps
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self.go_on()
        elif self.workers.first:
            # That of an earlier run: a resumption must not take it for its own.
            self._last.unlink(missing_ok=True)
        self.model.train()
        report_steps = min(50, max(1, steps // 40))
        losses: list[float] = []
        seen = 0
        saved = started = time.monotonic()
        with asked_to_stop(self.workers) as asked:
            while self.step < steps and not self._stopped:
                chosen = self._next()
                losses.append(self._update(chosen, self.schedule.rate_at(self.step, steps)))
                seen += sum(map(len, chosen))
                self.step += 1
                if self.average is not None:
                    self.average.follow(self.weights.masters, self.step)
                if self.step % report_steps == 0:
                    self._report_progress(losses, seen / (time.monotonic() - started))
                    losses.clear()
                if self.step % GIVE_BACK_STEPS == 0:
                    give_back()
                if self.step % self.validate_steps == 0 or self.step == steps:
                    self._validate()
                if time.monotonic() - saved > 60 * self.schedule.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
                if asked():
                    self._save()
                    kept = "what was learned is kept: --resume goes on"
                    self.report({"step": self.step, "interrupted": kept})
                    raise KeyboardInterrupt
        if self._stopped:
            self.report({"step": self.step, "stopped": f"{self.stale} validations without a better score"})
        self._save()
        return self.best

    def _report_progress(self, losses: Sequence[float], speed: float) -> None:
        """Report the mean of the losses since the last report, and the groups a second since the start."""
        left = (self.steps - self.step) * self.schedule.batch_groups * self.schedule.accumulate_batches
        self.report(
            {
                "step": self.step,
                "steps": self.steps,
                "loss": round(float(np.mean(losses)), 4),
                "groups_per_second": round(speed, 2),
                "minutes_left": round(left / speed / 60, 1),
            }
        )

    def _next(self) -> list[list[Any]]:
        """The batches of the next step."""
        number, at = divmod(self.step, self.steps_per_epoch)
        if number != self._drawn[0]:
            self._draw(number)
        _, groups, batches = self._drawn
        count = self.schedule.accumulate_batches
        # The number of unusable examples can differ by a few between epochs: wrap, never fail.
        first = at * count % len(batches)
        return [[groups[i] for i in batch] for batch in batches[first : first + count]]

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self._last.exists()

    @property
    def _stopped(self) -> bool:
        return self.schedule.patience is not None and self.stale >= self.schedule.patience

    def _update(self, batches: list[list[Any]], rate: float) -> float:
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.step)  # dropout: same on resume
        loss = self._gradients(batches)
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights.masters.values(), self.schedule.clip_norm))
        if not math.isfinite(loss + norm):
            self._diverged = True
            self._save()  # the weights have not moved yet
            number, at = divmod(self.step, self.steps_per_epoch)
            what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
            where = f"step {self.step} (epoch {number + 1}, batch {at * len(batches) + 1})"
            raise TrainingError(
                f"the {what} of {where} is {value}; the weights before it are kept in {self._last}",
                accepted="finite losses and gradients",
                next_step="the same with --resume and lower rates in the schedule of --config FILE goes on from there",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self.optimizer.step()
        self.weights.publish()
        return loss

    def _gradients(self, batches: list[list[Any]]) -> float:
        """The mean loss of the batches, weighted by their groups; its gradients replace those of the masters.

        Of several processes each reads its part, and all get the sum.
        """
        total, count = 0.0, sum(map(len, batches))
        mine = [piece for groups in batches for piece in self._pieces(self.workers.part(groups))]
        self.optimizer.zero_grad()
        for groups in mine:
            loss = self.objective.loss(self.model, self.objective.collate(groups))
            penalty = self.continual.penalty(self.model)
            if penalty is not None:
                loss = loss + penalty
            loss.backward()  # type: ignore[no-untyped-call]
            share = len(groups) / count
            self.weights.collect_gradients(share)
            total += share * float(loss.detach())
        self.workers.sum_gradients(self.weights.masters.values())
        return self.workers.sum(total)

    def _pieces(self, groups: Sequence[Any]) -> Iterable[Sequence[Any]]:
        if self.objective.by_group:
            return pieces(groups, MOST_TOKENS)
        return [groups] if groups else []

    def score(self) -> float:
        """The validation score of the weights as they are; of several processes the first one works it out."""
        self.model.eval()
        score = 0.0
        if self.workers.first:
            with torch.inference_mode():
                score = self.validate(self.model)
        self.model.train()
        return self.workers.from_first(score)

    def keep(self, score: float) -> None:
        """Take the weights as they are, with their validation score, for the best so far."""
        self.best, self.stale = score, 0
        if not self.workers.first:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.folder / BEST, self.weights.state())

    def _validate(self) -> None:
        with self._averaged():
            score = self.score()
            self.report({"step": self.step, "validation": round(score, 4)})
            self.stale += 1
            better = score > self.best
            if better:
                self.keep(score)
        if better:  # else a run that is cut now and goes on would not know how good its best weights are
            self._save()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The average stands in for the weights, where there is one."""
        if self.average is None:
            yield
            return
        current = {name: weight.clone() for name, weight in self.weights.state().items()}
        self.weights.load(self.average.state())
        try:
            yield
        finally:
            self.weights.load(current)

    def _state(self) -> Checkpoint:
        """All that the next step depends on: no copy, so it changes with that step."""
        position = Position(
            self.step, self.best, self.stale, self.schedule.model_dump(), self.identity, self._diverged
        )
        moments = {name: self.optimizer.state.get(w, {}) for name, w in self.weights.masters.items()}
        average = {} if self.average is None else self.average.state()
        return Checkpoint(position, self.weights.state(), average, moments)

    def _save(self) -> None:
        if self.workers.first:
            self._state().write(self._last)

    def go_on(self) -> None:
        """Take up the state of the last checkpoint, where there is one, and report from where; once is enough.

        Raises:
            TrainingError: it is that of another run.
        """
        if self._went_on:
            return
        self._went_on = True
        if not self.begun:
            self.report({"goes_on": f"from the beginning: no checkpoint{elsewhere(self.folder)}"})
            return
        last = Checkpoint.read(self._last)
        last.require_same_run(self._state(), self._last)
        self.step, self.best, self.stale = last.position.step, last.position.best, last.position.stale
        self.weights.load(last.weights)
        if self.average is not None:
            self.average.load(last.average)
        for name, master in self.weights.masters.items():
            moments = last.moments.get(name, {})
            self.optimizer.state[master] = {kind: value.to(master.device) for kind, value in moments.items()}
        self.report({"goes_on": f"after step {self.step}"})
