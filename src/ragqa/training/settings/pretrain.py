"""The settings of ``ragqa pretrain``."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ragqa.discovery import Found, discover
from ragqa.errors import TrainingError
from ragqa.training.schedule import Schedule
from ragqa.training.settings.run import Labels, Run


class PretrainRun(Run):
    """A run of language modelling on documents."""

    target: ClassVar[str] = "pretrain"
    labels: ClassVar[Labels] = "texts"

    @classmethod
    def command(cls) -> str:
        """A command that shows what a run would do."""
        return "ragqa pretrain my_documents/ --dry-run"

    data: tuple[Path, ...] = Field(min_length=1, description="a folder of documents, or several")
    output: Path = Field(Path("runs/pretrain"), description="folder for checkpoints, metrics and the model")
    max_questions: None = Field(None, description="documents hold no questions")
    test_documents: int | None = Field(0, ge=0, le=0, description="nothing is compared")
    hold_out: Literal["documents"] = Field(
        "documents", description="of fewer than ten documents passages are put aside"
    )
    freeze: tuple[str, ...] = Field(
        (), description="as elsewhere; the words themselves are learned here, too"
    )
    masked_share: float = Field(0.15, gt=0, lt=1, description="of the words that are hidden")
    max_passage_tokens: int = Field(
        200, ge=16, description="documents are cut into passages of at most so many"
    )

    def files(self) -> Sequence[Path]:
        """The documents, but nothing that the run itself writes, whose folder may lie among them."""
        return [found.path for found in self.documents()]

    def documents(self) -> list[Found]:
        """The files to read, with their names.

        Raises:
            UsageError: a path that is not there.
            TrainingError: the output is a folder that is read as a whole.
        """
        own = self.output.resolve()
        if any(own in (root.resolve(), *root.resolve().parents) for root in self.data):
            raise TrainingError(
                f"the output {self.output} holds what is read",
                accepted="a folder of its own, which may lie among the documents",
                next_step=f"--output {self.output / 'runs'}",
            )
        return [one for one in discover(self.data).files if own not in one.path.resolve().parents]

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """By the number of passages."""
        return Schedule(
            epochs=20 if questions < 2000 else 5 if questions < 20_000 else 1,
            patience=4,
            batch_groups=32,
            learning_rate=round(rate * 1e-4, 6),
        )
