"""How long a run will take: the seconds of a step and of a validation, measured before its first step."""

import time
from dataclasses import dataclass

from ragqa.training.allocator import freed_memory_kept
from ragqa.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured; ``score`` is what the validation said of the weights as they are."""

    step_seconds: float
    validation_seconds: float
    score: float

    @classmethod
    def of(cls, trainer: Trainer) -> "Pace":
        """Some steps that train nothing, and one validation."""
        with freed_memory_kept():  # in training alone: reading and mining free more than a step needs
            step = trainer.seconds_per_step()
            started = time.perf_counter()
            score = trainer.score()
            return cls(step, time.perf_counter() - started, score)

    def minutes(self, steps: int, validations: float) -> float:
        """Of so many steps and validations."""
        return (steps * self.step_seconds + validations * self.validation_seconds) / 60
