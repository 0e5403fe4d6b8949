"""Real texts, and sentence-transformers as the judge of our vectors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ragqa.backbone import builtin_path


@pytest.fixture(scope="session")
def texts(data: Path) -> list[str]:
    """Abstracts of many lengths, and texts as documents really have them."""
    with (data / "cranfield" / "corpus.jsonl").open(encoding="utf-8") as lines:
        abstracts = [json.loads(next(lines))["text"] for _ in range(40)]
    odd = [
        "Yes.",
        "| a | b |\n|---|---|",
        "ÉCOLE naïve ﬁne",
        "𝒳 → ∞ 🙂",
        "检索增强生成 uses an index.",
        "  spaced\tout \n",
    ]
    return [*abstracts, *odd]


@pytest.fixture(scope="session")
def judge() -> Any:
    """sentence-transformers with the same weights."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(builtin_path()), device="cpu")


@pytest.fixture(scope="session")
def judged(judge: Any, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """What the judge makes of ``texts``."""
    vectors: npt.NDArray[np.float32] = judge.encode(list(texts))
    return vectors
