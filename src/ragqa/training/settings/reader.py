"""The settings of ``finetune reader``."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ragqa.training.schedule import Schedule
from ragqa.training.settings.mining import MinedRun, MiningConfig


class ReaderRun(MinedRun):
    """A training run of the reader."""

    target: ClassVar[str] = "reader"

    output: Path = Field(Path("runs/reader"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        None,
        description="the reader to train further: builtin, a folder, or null: fresh heads; "
        "default: builtin, unless a backbone is named",
    )
    hard_negatives: int = Field(4, ge=0, description="negatives mined for each question")
    lexical_data: Path | None = Field(
        None,
        description="SQuAD JSON in Chinese, to calibrate the lexical answers; without it the shipped ones stay",
    )
    hard_negative_share: float = Field(0.2, ge=0, le=1)
    unanswerable_share: float = Field(0.05, ge=0, le=1)
    calibration_questions: int = Field(2000, ge=50, description="at most so many of the validation part")
    max_refused: float = Field(
        0.04, ge=0, lt=1, description="answerable questions the operating point may refuse"
    )

    @model_validator(mode="before")
    @classmethod
    def _goes_on(cls, values: Any) -> Any:
        if isinstance(values, dict) and not {"start_from", "backbone"} & values.keys():
            return {**values, "start_from": "builtin"}
        return values

    @model_validator(mode="after")
    def _mined_for_something(self) -> Self:
        if not self.hard_negatives and self.mining != MiningConfig():
            raise ValueError("mining finds hard_negatives, and these are 0")
        return self

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """Few questions are seen more often, in smaller batches, and judged once an epoch.

        A trained reader is changed at half the rate of one with fresh heads, whose own rate would tear at what its
        heads know.
        """
        batch = 32 if questions >= 2000 else 16
        epochs = 5 if questions < 1000 else 3 if questions < 10_000 else 2
        goes_on = self.start_from is not None
        full = 1.2e-4 if goes_on else 2.5e-4
        return Schedule(
            epochs=epochs,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
            head_learning_rate=full if goes_on else 1e-3,
        )
