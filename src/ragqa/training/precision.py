"""A low-precision module trained through float32 master weights (Micikevicius et al. 2018, section 3.1).

On CPUs with native bfloat16 the module runs several times faster in bfloat16, while an optimizer that adds
small updates to bfloat16 weights would round most of them away; so the optimizer owns float32 copies.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MasterWeights:
    """float32 copies of the trainable parameters of ``module``, which itself runs in ``dtype``.

    Its buffers stay as they are: the frequencies of rotary positions, rounded to bfloat16, are a tenth of a turn off
    after a thousand tokens, and a served model has them in float32.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self._parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.masters = {n: nn.Parameter(p.detach().float().clone()) for n, p in self._parameters.items()}
        for parameter in module.parameters():
            parameter.data = parameter.data.to(dtype)

    def collect_gradients(self, share: float = 1.0) -> None:
        """Add ``share`` times the gradients of the module to those of the masters, in float32, and clear them there."""
        for name, parameter in self._parameters.items():
            gradient, master = parameter.grad, self.masters[name]
            parameter.grad = None
            if gradient is None:
                continue
            scaled = gradient.float() if share == 1.0 else share * gradient.float()
            master.grad = scaled if master.grad is None else master.grad + scaled

    @torch.no_grad()
    def publish(self) -> None:
        """Write the masters, rounded, into the module."""
        for name, parameter in self._parameters.items():
            parameter.copy_(self.masters[name])

    def state(self) -> dict[str, Tensor]:
        """The float32 weights by name."""
        return {name: master.detach() for name, master in self.masters.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take float32 weights by name and publish them."""
        for name, master in self.masters.items():
            master.copy_(state[name])
        self.publish()
