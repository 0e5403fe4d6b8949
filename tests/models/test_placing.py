"""A network on a GPU reads from the CPU and answers there."""

import pytest
import torch
from torch import nn

from ragqa import devices
from ragqa.models.placing import moved, placed

needs_gpu = pytest.mark.skipif(not devices.has_cuda(), reason="needs a GPU")


class _Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, left: torch.Tensor, *, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(left), self.layer(right)


def test_without_a_gpu_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGQA_DEVICE", "cpu")
    network = _Pair()
    assert placed(network) is network
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


def test_every_tensor_of_a_nested_value_is_moved() -> None:
    value = {"a": torch.ones(2), "b": [torch.zeros(1), ("text", 3)]}
    there = moved(value, torch.device("meta"))
    assert there["a"].is_meta
    assert there["b"][0].is_meta
    assert there["b"][1] == ("text", 3)


@needs_gpu
def test_outputs_and_gradients_are_those_of_the_cpu() -> None:
    torch.manual_seed(1)
    network, left, right = _Pair(), torch.randn(3, 4), torch.randn(5, 4)
    expected = network(left, right=right)
    sum(one.square().sum() for one in expected).backward()
    wanted = network.layer.weight.grad
    network.zero_grad()
    there = placed(network)
    assert there.layer.weight.is_cuda
    found = there(left, right=right)
    assert not any(one.is_cuda for one in found)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    sum(one.square().sum() for one in found).backward()
    assert wanted is not None
    torch.testing.assert_close(moved(network.layer.weight.grad, torch.device("cpu")), wanted)
