"""Times as their quantiles, and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def quantiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Name → the time that so many of the questions stay below, between neighbours by proportion.

    Raises:
        ValueError: no times.
    """
    if not len(milliseconds):
        raise ValueError("no times")
    found = np.quantile(np.asarray(milliseconds, dtype=np.float64), list(QUANTILES.values()))
    return {name: round(float(value), 2) for name, value in zip(QUANTILES, found, strict=True)}


def lines(speed: Mapping[str, Any]) -> list[str]:
    """The speed of single questions for a terminal."""
    found = [f"Milliseconds a question ({speed['questions']} asked one by one)"]
    found.append(f"  {'':8}" + "".join(f"{name:>10}" for name in QUANTILES))
    for stage, mine in speed["milliseconds"].items():
        found.append(f"  {stage:8}" + "".join(f"{mine[name]:10.1f}" for name in QUANTILES))
    found.append(
        f"  {speed['questions a second']} questions a second, {speed['peak memory in MB']:,} MB of memory at most"
    )
    return found
