"""The settings of ``finetune choice``."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ragqa import pretrained
from ragqa.choices import PASSAGE_ONCE, Once
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
    passage_once: Once | None = Field(
        None,
        description="a passage is read without the question, once for all that is asked of it, or by_question: with "
        "it, once for all options; default: as the model does that it goes on from",
    )

    questions_together: int = Field(
        1,
        ge=1,
        le=16,
        description="of a passage, that stand behind it at once in training, with passage_once: by_question; when "
        "asked it is one",
    )

    @field_validator("passage_once", mode="before")
    @classmethod
    def _once(cls, value: Any) -> Any:
        """A misspelt name is no bad boolean."""
        if isinstance(value, str) and value != "by_question":
            raise ValueError(f"{value!r} is none of true, false, by_question")
        return value

    def made_from(self) -> tuple[str, ...]:
        """The model to go on from, and the teachers."""
        return (*super().made_from(), *self.teachers)

    @model_validator(mode="after")
    def _a_passage_read_once(self) -> Self:
        if self.passage_once and self.tuning.name == "prompt":
            raise ValueError("passage_once is not for tuning prompt: its vectors stand before a whole row")
        if self.questions_together > 1 and self.passage_once in (True, False):
            raise ValueError("questions_together is for passage_once: by_question, which it makes quicker")
        return self

    def settled(self) -> Self:
        """With ``passage_once`` as the model has it that this goes on from."""
        if self.passage_once is not None:
            return self
        folder = None if self.start_from is None else pretrained.folder_of(self.target, self.start_from)
        config = {} if folder is None else pretrained.stored_config(folder)
        once = config.get(PASSAGE_ONCE, False) if config.get("kind") == self.target else False
        return self.changed(passage_once=once) if once or self.questions_together > 1 else self

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group has a row for each option, or all that is asked of a passage, or some of it."""
        several = self.passage_once is True or self.questions_together > 1
        batch = 4 if several else 16 if questions >= 2000 else 8
        return Schedule(
            epochs=3 if questions < 50_000 else 1,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * 1e-4, 6),
        )
