"""Which layer a parameter belongs to: for freezing by name and for learning rates that fall from the top downwards."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ragqa.errors import TrainingError

_LAYER = re.compile(r"\.(?:layers?|h|block)\.(\d+)\.")
"""How BERT, RoBERTa, DistilBERT (layer), Llama (layers), GPT-2 (h) and T5 (block) number their layers."""

_WORD_TABLES = ("word_embeddings", "embed_tokens", "wte", "shared")

_LAYERS = re.compile(r"layers\.(\d+)(?:-(\d+))?")


def layer_of(name: str) -> int | None:
    """The number of the layer that a parameter is in, from 0 at the bottom; None outside the layers.

    >>> layer_of("encoder.encoder.layer.3.output.dense.weight"), layer_of("head.weight")
    (3, None)
    """
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def renumbered(tensors: Mapping[str, Tensor], kept: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of a model that keeps the layers ``kept`` alone, by their new names."""
    place = {number: at for at, number in enumerate(kept)}
    found = {}
    for name, tensor in tensors.items():
        layer = layer_of(name)
        if layer is None:
            found[name] = tensor
        elif layer in place:
            found[name.replace(f".{layer}.", f".{place[layer]}.", 1)] = tensor
    return found


def depth(model: nn.Module) -> int:
    """How many layers the encoder has."""
    return 1 + max(
        (layer for name, _ in model.named_parameters() if (layer := layer_of(name)) is not None), default=-1
    )


def freeze(model: nn.Module, names: tuple[str, ...]) -> None:
    """Stop training what ``names`` say.

    Each is ``word_embeddings``, ``embeddings`` (those and the others), ``layers.0-3``, ``encoder`` (all but the
    head), or the beginning of a parameter's name.

    Raises:
        TrainingError: a name that no parameter has, or nothing is left to train.
    """
    for name in names:
        matching = [p for parameter, p in model.named_parameters() if _matches(parameter, name)]
        if not matching:
            raise TrainingError(
                f"freeze: no parameter is called {name!r}",
                accepted=f"word_embeddings, embeddings, layers.0-{depth(model) - 1}, encoder, or how a name begins",
            )
        for parameter in matching:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise TrainingError(
            f"freeze: {', '.join(names)} leaves nothing to train",
            accepted="fewer names; a head always trains",
        )


def below_top(model: nn.Module, layers: int) -> tuple[str, ...]:
    """The names that ``freeze`` needs so that only the top ``layers`` (and the head) train.

    Raises:
        TrainingError: there are fewer.
    """
    rest = depth(model) - layers
    if rest < 0:
        raise TrainingError(
            f"train_top {layers}", accepted=f"0 to {depth(model)}, the layers that the model has"
        )
    return ("embeddings", *((f"layers.0-{rest - 1}",) if rest > 0 else ()))


def rate_factor(name: str, layers: int, decay: float) -> float:
    """Times the learning rate: decay^(distance from the top layer); embeddings lie below all (Howard, Ruder 2018)."""
    if name.startswith("head."):
        return 1.0
    layer = layer_of(name)
    return float(decay ** (layers if layer is None else layers - 1 - layer))


def _matches(parameter: str, name: str) -> bool:
    if name == "word_embeddings":
        return any(f".{table}." in parameter for table in _WORD_TABLES)
    if name == "embeddings":
        return ".embeddings." in parameter or _matches(parameter, "word_embeddings")
    if name == "encoder":
        return parameter.startswith("encoder.")
    found = _LAYERS.fullmatch(name)
    if not found:
        return parameter.startswith(name)
    layer = layer_of(parameter)
    return layer is not None and int(found[1]) <= layer <= int(found[2] or found[1])
