"""How hard negatives are found, and the runs that show them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragqa.training.settings.run import HeadedRun


class MiningConfig(BaseModel):
    """How hard negatives are found for a question: among the hits from ``first_rank`` to ``last_rank``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retriever: Literal["bm25", "hybrid"] = Field("bm25", description="what ranks the passages")
    config: Path | None = Field(
        None, description="configuration of the hybrid: its encoder and fusion; default: as an index has them"
    )
    first_rank: int = Field(1, ge=1, description="passages ranked higher are not taken")
    last_rank: int = Field(16, ge=1, description="nor those ranked lower")
    margin: float | None = Field(
        None, gt=0, description="nor those that score above so much of the right passage's score"
    )

    @model_validator(mode="after")
    def _some_ranks(self) -> Self:
        if self.first_rank > self.last_rank:
            raise ValueError(f"first_rank {self.first_rank} is beyond last_rank {self.last_rank}")
        if self.config is not None and self.retriever != "hybrid":
            raise ValueError(f"config is for the retriever hybrid, not for {self.retriever}")
        return self


class MinedRun(HeadedRun):
    """A training run of what is shown passages that a retriever ranks high and that do not answer."""

    mining: MiningConfig = Field(MiningConfig(), description="how they are found")

    def files(self) -> Sequence[Path]:
        """The questions, and the configuration of what mines."""
        return (*super().files(), *([self.mining.config] if self.mining.config else []))
