"""float32 masters keep what bfloat16 weights would round away."""

import torch
from torch import nn

from ragqa.training.precision import MasterWeights


def test_small_updates_add_up() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    masters = MasterWeights(module, torch.bfloat16)
    update = 1e-4  # bfloat16 steps near 1 by 0.0078
    alone = torch.ones((), dtype=torch.bfloat16)
    for _ in range(100):
        with torch.no_grad():
            masters.masters["weight"].add_(update)
            alone.add_(update)
        masters.publish()
    assert alone.item() == 1.0
    torch.testing.assert_close(masters.masters["weight"], torch.full((1, 1), 1.01))
    assert module.weight.item() == torch.tensor(1.01).bfloat16().item() != 1.0
    assert module.weight.dtype == torch.bfloat16


def test_gradients_move_to_the_masters_as_float32() -> None:
    module = nn.Linear(3, 2)
    masters = MasterWeights(module, torch.bfloat16)
    module(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    gradient = module.weight.grad
    assert gradient is not None
    masters.collect_gradients()
    assert module.weight.grad is None
    moved = masters.masters["weight"].grad
    assert moved is not None
    assert moved.dtype == torch.float32
    assert torch.equal(moved, gradient.float())
    module(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    masters.collect_gradients(0.5)
    assert torch.equal(masters.masters["weight"].grad, 1.5 * gradient.float())  # type: ignore[arg-type]


def test_frozen_parameters_have_no_master() -> None:
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    assert MasterWeights(module, torch.float32).masters.keys() == {"weight"}


def test_loaded_weights_reach_the_module() -> None:
    module = nn.Linear(2, 1)
    masters = MasterWeights(module, torch.bfloat16)
    masters.load({"weight": torch.tensor([[0.1, 0.2]]), "bias": torch.tensor([3.0])})
    assert torch.equal(module.weight, torch.tensor([[0.1, 0.2]]).bfloat16())
    assert torch.equal(masters.state()["weight"], torch.tensor([[0.1, 0.2]]))


def test_buffers_keep_their_type() -> None:
    module = nn.Linear(2, 1)
    module.register_buffer("frequencies", torch.tensor([0.1]))
    MasterWeights(module, torch.bfloat16)
    assert module.weight.dtype == torch.bfloat16
    assert torch.equal(module.get_buffer("frequencies"), torch.tensor([0.1]))
