"""The torch modules behind each kind of model; for the converting child and the torch runtime only.

Each takes ids, mask and token types, (N, L), and returns a tuple of tensors.
"""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ragqa.backbone import builtin_path, verify
from ragqa.errors import ModelError
from ragqa.models.bi_encoder import load_encoder
from ragqa.models.choice import ChoiceModel
from ragqa.models.loading import quieten
from ragqa.models.pair import load_pair
from ragqa.models.pointer import SourceEncoder
from ragqa.models.span import load_span
from ragqa.pretrained import backbone_of
from ragqa.sources import POINTER

__all__ = ["BUILDERS", "SourceEncoder", "build"]

BUILDERS: dict[str, Callable[[Path], nn.Module]] = {
    "encoder": load_encoder,
    "span": load_span,
    "pair": load_pair,
    "choice": ChoiceModel.load,
    POINTER: SourceEncoder.load,
}


def build(kind: str, source: Path) -> nn.Module:
    """The network of ``kind`` from ``source``, in float32, ready to infer."""
    if kind not in BUILDERS:
        raise ModelError(f"there is no model kind {kind!r}", accepted=", ".join(BUILDERS))
    if backbone_of(source) == builtin_path():
        verify()
    quieten()
    return BUILDERS[kind](source).float().eval()
