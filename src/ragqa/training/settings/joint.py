"""The settings of ``finetune joint``: its own, and those of the two runs of each round."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from ragqa.config import explained
from ragqa.training.settings.reader import ReaderRun
from ragqa.training.settings.retriever import RetrieverRun
from ragqa.training.settings.run import LISTED, ORIGIN, Described, Run

_OF_THE_JOINT_RUN = frozenset(
    {"data", "output", "max_questions", "validation_documents", "test_documents", "hold_out", "split_seed"}
)


class JointRun(Described):
    """Rounds of a retriever's run and a reader's, from questions and answers alone."""

    target: ClassVar[str] = "joint"

    data: tuple[Path, ...] = Field(
        min_length=1, description="questions with answers, in any form that has them; or several files"
    )
    output: Path = Field(
        Path("runs/joint"), description="folder of the rounds, each with its labels and models"
    )
    split_seed: int = Field(
        13, ge=0, description="which questions are put aside, and which documents of the others"
    )
    index: Path | None = Field(
        None, description="the index whose passages answer; without it those that the data name, unlabelled"
    )
    rounds: int = Field(2, ge=1, description="each searches, labels and trains anew")
    top_k: int = Field(10, ge=1, description="hits that may turn out to hold the answer")
    least_likelihood: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="of the answer under its best hit; below it the question waits for a later round",
    )
    validation_documents: int | None = Field(
        None, ge=1, description="the same in every round; default: a tenth"
    )
    test_questions: int | None = Field(
        None, ge=0, description="for the comparison before / after; default: a tenth, at most 500"
    )
    retriever: Mapping[str, Any] = Field(
        default_factory=dict, description="settings of the retriever's runs, as in a file of their own"
    )
    reader: Mapping[str, Any] = Field(
        default_factory=dict, description="settings of the reader's runs, as in a file of their own"
    )

    @model_validator(mode="after")
    def _parts_fit(self, info: ValidationInfo) -> Self:
        origin = (info.context or {}).get(ORIGIN, "")
        parts: tuple[tuple[type[Run], Mapping[str, Any], Callable[..., Run]], ...] = (
            (RetrieverRun, self.retriever, self.retriever_run),
            (ReaderRun, self.reader, self.reader_run),
        )
        for kind, given, make in parts:
            name = kind.target
            if taken := given.keys() & _OF_THE_JOINT_RUN:
                raise ValueError(f"{name}.{min(taken)} is decided by the joint run")
            try:
                make(self.data[0], self.output)
            except ValidationError as fault:
                raise explained(fault, kind, origin, LISTED, inside=name) from None
        return self

    @property
    def whole_encoder(self) -> bool:
        """Whether passages move, too, so that an index must be embedded anew."""
        return bool(self.retriever.get("both_sides"))

    def retriever_run(self, labels: Path, output: Path, **more: Any) -> RetrieverRun:
        """The retriever's run of a round, on the questions that were labelled for it."""
        return RetrieverRun.model_validate({**self._of_a_round(labels, output), **self.retriever, **more})

    def reader_run(self, labels: Path, output: Path, **more: Any) -> ReaderRun:
        """The reader's run of a round; it goes on from the shipped reader unless told otherwise."""
        return ReaderRun.model_validate({**self._of_a_round(labels, output), **self.reader, **more})

    def _of_a_round(self, labels: Path, output: Path) -> Mapping[str, Any]:
        return {"data": labels, "output": output, "test_documents": 0, "split_seed": self.split_seed}
