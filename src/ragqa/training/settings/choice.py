"""The settings of ``finetune choice``."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ragqa import pretrained
from ragqa.choices import PASSAGE_ONCE
from ragqa.training.schedule import Schedule
from ragqa.training.settings.run import HeadedRun, Labels


class ChoiceRun(HeadedRun):
    """A training run of the model that chooses among options."""

    target: ClassVar[str] = "choice"
    labels: ClassVar[Labels] = "choices"

    output: Path = Field(Path("runs/choice"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        "reader",
        description="builtin, reader (the encoder of the shipped one), a folder, or null: a fresh head",
    )
    options: int = Field(
        4,
        ge=2,
        le=26,
        description="made for a question that has none: its answer, the others from its passage",
    )
    teachers: tuple[str, ...] = Field(
        (),
        description="choice models whose scores are learned beside the labels of questions without a passage",
    )
    teacher_share: float = Field(
        0.7, gt=0, le=1, description="of the teachers in the loss of such a question"
    )
    other_options: int = Field(
        7, ge=0, le=50, description="options of other questions that the teachers weigh for each"
    )
    passage_once: bool | None = Field(
        None,
        description="a passage is read without the question, once for all that is asked of it; "
        "default: as the model does that it goes on from",
    )

    def made_from(self) -> tuple[str, ...]:
        """The model to go on from, and the teachers."""
        return (*super().made_from(), *self.teachers)

    @model_validator(mode="after")
    def _a_passage_read_once(self) -> Self:
        if self.passage_once and self.tuning.name == "prompt":
            raise ValueError("passage_once is not for tuning prompt: its vectors stand before a whole row")
        return self

    def settled(self) -> Self:
        """With ``passage_once`` as the model has it that this goes on from."""
        if self.passage_once is not None or self.start_from is None:
            return self
        config = pretrained.stored_config(pretrained.folder_of(self.target, self.start_from))
        once = config.get("kind") == self.target and config.get(PASSAGE_ONCE, False)
        return self.changed(passage_once=True) if once else self

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group has a row for each option, or with ``passage_once`` all that is asked of a passage."""
        batch = 4 if self.passage_once else 16 if questions >= 2000 else 8
        return Schedule(
            epochs=3 if questions < 50_000 else 1,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * 1e-4, 6),
        )
