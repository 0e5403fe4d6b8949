"""Dropout from random bytes: rate, scale, seed and gradient."""

import pytest
import torch
from torch import nn

from ragqa.models.dropout import ByteDropout, quicken


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_vanish_at_the_rate_and_the_mean_stays(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    found = ByteDropout(share)(torch.ones(401, 501, dtype=dtype)).float()
    kept = found[found != 0]
    nearest = round(256 * share) / 256
    assert 1 - kept.numel() / found.numel() == pytest.approx(nearest, abs=0.004)
    assert torch.unique(kept).numel() == 1
    assert float(kept[0]) == pytest.approx(1 / (1 - nearest), rel=0.005)
    # Columns and rows alike: no byte of a number is another's.
    for axis in (0, 1):
        shares = (found == 0).float().mean(axis)
        assert float((shares - nearest).abs().max()) < 6 * (nearest * (1 - nearest) / 401) ** 0.5


def test_the_seed_decides() -> None:
    dropout, values = ByteDropout(0.3), torch.ones(7, 11)
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(dropout(values))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_gradient_passes_where_the_value_did() -> None:
    values = torch.ones(64, requires_grad=True)
    found = ByteDropout(0.5)(values)
    found.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, found.detach())


@pytest.mark.parametrize("share", [0.0, 0.001, 1.0])
def test_nothing_and_everything(share: float) -> None:
    found = ByteDropout(share)(torch.ones(9))
    assert torch.equal(found, torch.zeros(9) if share == 1.0 else torch.ones(9))


def test_a_network_is_quickened_and_served_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    values = torch.randn(4, 3)
    wanted = network.eval()(values)
    quicken(network)
    assert type(network[1]) is ByteDropout
    assert torch.equal(network(values), wanted)
