"""What every test gets: models compiled once and kept between runs, and no network by accident."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Compiled models go to pytest's cache: tests neither read nor fill the user's own."""
    if "RAGQA_CACHE" not in os.environ and config.cache is not None:
        os.environ["RAGQA_CACHE"] = str(config.cache.mkdir("ragqa"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public benchmark files."""
    if not DATA.is_dir():
        pytest.skip(f"no benchmark data in {DATA}; set RAGQA_DATA")
    return DATA
