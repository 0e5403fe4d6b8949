"""What decides a training run: one YAML file, or sensible values for the size of the data; a file for each target."""

from collections.abc import Mapping

from ragqa.training.settings.choice import ChoiceRun
from ragqa.training.settings.generator import GeneratorRun
from ragqa.training.settings.joint import JointRun
from ragqa.training.settings.mining import MinedRun, MiningConfig
from ragqa.training.settings.pretrain import PretrainRun
from ragqa.training.settings.reader import ReaderRun
from ragqa.training.settings.reranker import RerankerRun
from ragqa.training.settings.retriever import RetrieverRun
from ragqa.training.settings.run import LISTED, ORIGIN, Described, HeadedRun, Run

__all__ = [
    "LISTED",
    "ORIGIN",
    "RUNS",
    "ChoiceRun",
    "Described",
    "GeneratorRun",
    "HeadedRun",
    "JointRun",
    "MinedRun",
    "MiningConfig",
    "PretrainRun",
    "ReaderRun",
    "RerankerRun",
    "RetrieverRun",
    "Run",
]

RUNS: Mapping[str, type[Run]] = {
    kind.target: kind for kind in (ReaderRun, RetrieverRun, RerankerRun, GeneratorRun, ChoiceRun, PretrainRun)
}
"""Target → the settings of its runs."""
