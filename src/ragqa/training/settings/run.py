"""What every run has: its data, backbone, tuning, held-out part and schedule."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from ragqa.config import PluginSpec, explained
from ragqa.protocols import Storage
from ragqa.training.schedule import Schedule
from ragqa.training.splitting import Unit

LISTED = "docs/training_settings.md lists each setting"

Labels = Literal["answers", "passages", "choices", "texts"]
"""What a target learns from."""

ORIGIN = "origin"
"""In the context of a validation: where the settings come from, " in FILE"."""


class Described(BaseModel):
    """What one YAML file describes: something that learns from data and leaves a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: ClassVar[str]

    @classmethod
    def command(cls) -> str:
        """A command that shows what a run would do."""
        return f"ragqa finetune {cls.target} --data my_questions.jsonl --dry-run"

    data: tuple[Path, ...] = Field(
        min_length=1,
        description="the training questions: JSON Lines, SQuAD JSON or a BEIR folder; or several",
    )
    max_questions: PositiveInt | tuple[PositiveInt, ...] | None = Field(
        None, description="of each file, or one number for each, drawn by split_seed; default: all"
    )
    output: Path = Field(description="folder for checkpoints, metrics and the model")
    split_seed: int = Field(13, ge=0, description="which documents; keep it when going on from a model")

    def changed(self, **values: Any) -> Self:
        """This with other settings, checked as if they had been given so.

        Raises:
            ConfigError: they do not fit.
        """
        try:
            return self.model_validate({**self.model_dump(exclude_unset=True), **values})
        except ValidationError as fault:
            raise explained(fault, type(self), "", LISTED) from None

    def files(self) -> Sequence[Path]:
        """What is read, and decides what is learned."""
        return self.data

    @field_validator("data", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        """``data: FILE`` is short for ``data: [FILE]``."""
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _one_number_for_each_file(self) -> Self:
        if isinstance(self.max_questions, tuple) and len(self.max_questions) != len(self.data):
            raise ValueError(
                f"max_questions has {len(self.max_questions)} numbers for {len(self.data)} files"
            )
        return self


class Run(Described):
    """What decides a training run, whatever is trained; its target is a file of ``training/targets``."""

    labels: ClassVar[Labels] = "answers"

    backbone: str = Field("builtin", description="builtin, or a Hugging Face folder")
    tuning: PluginSpec = Field(PluginSpec(name="full"), description="which weights train")
    continual: PluginSpec = Field(PluginSpec(name="none"), description="what keeps old skills: none")
    freeze: tuple[str, ...] = Field(
        ("word_embeddings",),
        description="what stays as it is: word_embeddings, embeddings, layers.0-3, encoder, or the beginning of a name",
    )
    train_top: int | None = Field(
        None, ge=0, description="train so many of the last layers only, and the head"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability taken from what is right and spread over all it competes with",
    )
    validation_documents: PositiveInt | tuple[str, ...] | None = Field(
        None,
        description="documents for validation and calibration, how many or which by name; default: a tenth",
    )
    test_documents: int | None = Field(
        None, ge=0, description="documents for the comparison before / after; default: a tenth"
    )
    hold_out: Unit = Field(
        "documents",
        description="what is put aside: whole documents, or questions about documents that training sees, too",
    )
    validation_questions: int = Field(600, ge=1)
    schedule: Schedule | None = Field(
        None, description="what is not given goes by the number of questions and the tuning"
    )

    @field_validator("tuning", "continual", mode="before")
    @classmethod
    def _plugin_by_name(cls, value: Any) -> Any:
        """``tuning: lora`` is short for ``tuning: {name: lora}``."""
        return {"name": value} if isinstance(value, str) else value

    def made_from(self) -> tuple[str, ...]:
        """The models, beside the backbone, that it goes on from or is taught by."""
        return ()

    def settled(self) -> Self:
        """This with what the model decides that it goes on from.

        Raises:
            TrainingError: the other settings do not fit to that.
        """
        return self

    def schedule_for(self, questions: int, rate: float) -> Schedule:
        """What is given of the schedule, and the rest by the size and the tuning; see ``default_schedule``."""
        return self.default_schedule(questions, rate).model_copy(update=self.given_schedule)

    @property
    def given_schedule(self) -> dict[str, Any]:
        """The settings of the schedule that are given, not left to the size."""
        return {} if self.schedule is None else self.schedule.model_dump(exclude_unset=True)

    @abstractmethod
    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A schedule for so many training questions; ``rate`` times the learning rate that full tuning would have."""


class HeadedRun(Run):
    """A training run of an encoder with a head of its own."""

    start_from: str | None = Field(
        None, description="the model to go on from: builtin or a folder; without it the head begins fresh"
    )
    storage: Storage | None = Field(
        None, description="default: int8 for full tuning, float32 for the few weights of the others"
    )
    layers: PositiveInt | None = Field(
        None, description="keep so many layers of the backbone, evenly spread: a faster model; default: all"
    )

    def made_from(self) -> tuple[str, ...]:
        """The model to go on from."""
        return (self.start_from,) if self.start_from else ()

    @property
    def stored_as(self) -> Storage:
        """The type of the stored weights: the few of a tuning that adds some are kept as they are."""
        return self.storage or ("int8" if self.tuning.name == "full" else "float32")

    @model_validator(mode="after")
    def _layers_are_stored_whole(self) -> Self:
        if self.layers is not None and self.tuning.name != "full":
            raise ValueError(
                f"layers is for tuning full, not for {self.tuning.name}: the base has all of them"
            )
        return self
