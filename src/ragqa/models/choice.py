"""Choice model: one score for an option, read with its question and a passage; the greatest of a question wins."""

from typing import ClassVar

from ragqa.models.pair import PairModel


class ChoiceModel(PairModel):
    """The network of the pair model; what stands in its rows differs (``ragqa.choices``)."""

    kind: ClassVar[str] = "choice"
