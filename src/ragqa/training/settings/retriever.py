"""The settings of ``finetune retriever``."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ragqa.training.schedule import Schedule
from ragqa.training.settings.mining import MiningConfig
from ragqa.training.settings.run import Labels, Run


class RetrieverRun(Run):
    """A training run of the retriever's encoder."""

    target: ClassVar[str] = "retriever"
    labels: ClassVar[Labels] = "passages"

    output: Path = Field(Path("runs/retriever"), description="folder for checkpoints, metrics and the model")
    both_sides: bool = Field(
        False,
        description="train what encodes passages, too: an index must then be embedded anew (ragqa index --reembed)",
    )
    temperature: float = Field(0.05, gt=0, description="the cosines are divided by it")
    hard_negatives: int = Field(
        1, ge=0, description="of both sides: passages like its own that each group is set against, too"
    )
    mining: MiningConfig | None = Field(
        None, description="how they are found for each question; default: near to the right passage"
    )
    matryoshka: tuple[int, ...] = Field(
        (), description="sizes to which vectors shall be cut without much loss (encoder.dimensions)"
    )
    blend: float = Field(
        1.0, gt=0, le=1, description="share of the trained weights in what is stored; the rest is the untuned"
    )
    max_passage_tokens: int = Field(256, ge=8, description="longer passages are cut for training")
    negative_passages: int = Field(
        50_000,
        ge=1,
        description="passages of training documents, at most, to set questions against or draw negatives from",
    )
    validation_passages: int = Field(
        2000, ge=1, description="passages that held-out questions are searched in, at least their own"
    )

    @model_validator(mode="after")
    def _negatives_of_both_sides(self) -> Self:
        unmeant = (
            "mining" if self.mining is not None else "hard_negatives" if self.hard_negatives > 1 else None
        )
        if unmeant and not self.both_sides:
            raise ValueError(f"{unmeant} is for both_sides: questions alone are set against all passages")
        if self.mining is not None and not self.hard_negatives:
            raise ValueError("mining finds hard_negatives, and these are 0")
        return self

    def files(self) -> Sequence[Path]:
        """The questions, and the configuration of what mines."""
        return (*super().files(), *([self.mining.config] if self.mining and self.mining.config else []))

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group is a passage with its questions."""
        batch = 64 if questions >= 10_000 else 32 if questions >= 1000 else 16
        full = 1e-4 if self.both_sides else 2e-4
        return Schedule(
            epochs=1 if questions >= 50_000 else 3 if questions >= 5000 else 8,
            patience=4,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
        )
