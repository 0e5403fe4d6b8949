"""A moving average of the weights: it lies in flatter ground than the last of them and errs less on new questions.

Polyak and Juditsky (1992); Izmailov et al. (2018, arXiv:1803.05407). After step t, with decay β,

    a ← a + (1 − min(β, (1 + t) / (10 + t))) · (w − a)

so that the first steps, whose weights are soon left behind, do not stay in the average.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """The average of ``weights``, by name, in their own precision."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self._decay = decay
        self._tensors = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def follow(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Take the weights after ``step`` steps into the average."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._tensors.values()), [weights[name] for name in self._tensors], share)

    def state(self) -> dict[str, Tensor]:
        """The averaged weights by name."""
        return dict(self._tensors)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state."""
        for name, tensor in self._tensors.items():
            tensor.copy_(state[name])
