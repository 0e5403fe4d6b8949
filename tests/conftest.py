"""What every test gets: models compiled once and kept between runs, and no network by accident."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ragqa.backbone import builtin_path

_NAMES = ("Orchard", "Harbour", "Meadow", "Castle", "Windmill", "Abbey")
_KINDS = ("Bridge", "Viaduct", "Footbridge", "Crossing")

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Compiled models go to pytest's cache: tests neither read nor fill the user's own."""
    if "RAGQA_CACHE" not in os.environ and config.cache is not None:
        os.environ["RAGQA_CACHE"] = str(config.cache.mkdir("ragqa"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; more threads would wait for each other
        for name in ("RAGQA_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    # How long an example takes says more about what else the machine does than about the code.
    settings.register_profile("ragqa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("ragqa")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public benchmark files."""
    if not DATA.is_dir():
        pytest.skip(f"no benchmark data in {DATA}; set RAGQA_DATA")
    return DATA


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of 24 documents, and ``questions.jsonl``: 24 with an answer and 12 without."""
    from ragqa.config import Config
    from ragqa.indexing import build_index

    folder = tmp_path_factory.mktemp("town")
    (folder / "bridges").mkdir()
    records: list[dict[str, Any]] = []
    for number in range(24):
        name, builder = f"{_NAMES[number % 6]} {_KINDS[number // 6]}", f"{_NAMES[number // 4]}a Kel{number}er"
        text = (
            f"The {name} was designed by {builder}. It crosses the river near mill number {number * 7} of the valley. "
            f"Its opening to wagons and walkers followed in {1800 + number}."
        )
        (folder / "bridges" / f"{number:02d}.md").write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
        records.append(
            {
                "id": f"q{number}",
                "question": f"Who designed the {name}?",
                "answers": [builder],
                "document": f"bridges/{number:02d}.md",
                "quote": builder,
            }
        )
    records += [
        {
            "id": f"n{number}",
            "question": f"What does metal {number} melt at?",
            "answers": [],
            "document": None,
        }
        for number in range(12)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    build_index([folder / "bridges"], folder / "index", Config.from_values({"encoder": "hashing"}))
    return folder


@pytest.fixture
def few_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ragqa tune`` reads 8 passages a question at most: reading is what takes its time."""
    from ragqa import fitting_reader

    monkeypatch.setattr(fitting_reader, "TOP_K", (3, 5, 8))


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
