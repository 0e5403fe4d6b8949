"""The settings of ``finetune reranker``."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ragqa.training.schedule import Schedule
from ragqa.training.settings.mining import MinedRun, MiningConfig
from ragqa.training.settings.run import Labels


class RerankerMining(MiningConfig):
    """A reranker meets what the whole retrieval ranks high."""

    retriever: Literal["bm25", "hybrid"] = Field("hybrid", description="what ranks the passages")
    last_rank: int = Field(20, ge=1, description="nor those ranked lower")


class RerankerRun(MinedRun):
    """A training run of the reranker."""

    target: ClassVar[str] = "reranker"
    labels: ClassVar[Labels] = "passages"

    output: Path = Field(Path("runs/reranker"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        "reader",
        description="builtin, reader (the encoder of the shipped one), a folder, or null: a fresh head",
    )
    hard_negatives: int = Field(8, ge=1, description="negatives mined for each question")
    negatives: int = Field(3, ge=1, description="of them in a group, drawn anew each epoch")
    listwise: bool = Field(True, description="the passages of a question compete; otherwise each pair alone")
    mining: RerankerMining = Field(RerankerMining(), description="how negatives are found")
    passages: int = Field(
        20_000, ge=1, description="of the data that are searched, at most, but all that a question names"
    )
    validation_questions: int = Field(150, ge=1)
    fitting_questions: int = Field(300, ge=1, description="held-out ones, at most, that fit the weight")
    candidates: int = Field(10, ge=2, description="hits that are reordered for a held-out question")

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group has several passages: fewer of them make a batch."""
        batch = 16 if questions >= 2000 else 8
        full = 1.5e-4
        return Schedule(
            epochs=1 if questions >= 10_000 else 2 if questions >= 1000 else 4,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
        )
