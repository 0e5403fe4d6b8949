"""What every test gets: models compiled once and kept between runs, and no network by accident."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ragqa.backbone import builtin_path

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Compiled models go to pytest's cache: tests neither read nor fill the user's own."""
    if "RAGQA_CACHE" not in os.environ and config.cache is not None:
        os.environ["RAGQA_CACHE"] = str(config.cache.mkdir("ragqa"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # How long an example takes says more about what else the machine does than about the code.
    settings.register_profile("ragqa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("ragqa")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public benchmark files."""
    if not DATA.is_dir():
        pytest.skip(f"no benchmark data in {DATA}; set RAGQA_DATA")
    return DATA


@pytest.fixture
def small_bert(tmp_path: Path) -> Path:
    """A Hugging Face folder with a random BERT of two layers, for up to 64 tokens, and the builtin's tokenizer."""
    from transformers import BertConfig, BertModel

    model = BertConfig(
        vocab_size=30522,
        max_position_embeddings=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.5,
    )
    return _saved(BertModel, model, tmp_path / "small-bert")


@pytest.fixture
def small_distilbert(tmp_path: Path) -> Path:
    """A random model whose network takes no token types."""
    from transformers import DistilBertConfig, DistilBertModel

    model = DistilBertConfig(vocab_size=30522, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    return _saved(DistilBertModel, model, tmp_path / "small-distilbert")


def _saved(network: Any, config: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(1)
    network(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(builtin_path() / name, folder)
    return folder
