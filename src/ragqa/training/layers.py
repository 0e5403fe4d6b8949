"""Which layer a parameter belongs to: for freezing by name and for learning rates that fall from the top downwards."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ragqa.errors import TrainingError

_LAYER = re.compile(r"(.*?\.(?:layers?|h|block))\.(\d+)\.")
"""How BERT, RoBERTa, DistilBERT (layer), Llama, BART (layers), GPT-2 (h) and T5 (block) number their layers; the first
number counts, for a block of T5 has layers of its own."""

_WORD_TABLES = ("word_embeddings", "tok_embeddings", "embed_tokens", "embed_in", "wte", "shared")

_EMBEDDING = re.compile(r"\.(?:\w*embed(?!_out)\w*|wte|wpe|shared|project_in|relative_attention_bias)\.")
"""How they name what is below their layers: tables of words and positions, and norms and projections of those.

GPT-NeoX has ``embed_out``, too, which is above.
"""

_LAYERS = re.compile(r"layers\.(\d+)(?:-(\d+))?")


def layer_of(name: str) -> int | None:
    """The number of the layer that a parameter is in, from 0 at the bottom; None outside the layers.

    >>> layer_of("encoder.encoder.layer.3.output.dense.weight"), layer_of("head.weight")
    (3, None)
    """
    found = _LAYER.match(name)
    return int(found[2]) if found else None


def is_embedding(name: str) -> bool:
    """Whether a parameter is below the layers: not in one, not above them, and not a prompt that tuning adds.

    >>> [is_embedding(f"encoder.transformer.{part}.weight") for part in ("wpe", "h.0.ln_1", "ln_f")]
    [True, False, False]
    """
    added = name.startswith("head.") or ".prompt_encoder." in name
    return not added and layer_of(name) is None and _EMBEDDING.search(name) is not None


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


def depth(model: nn.Module) -> dict[str, int]:
    """How many layers each stack has, by what their names begin with: an encoder–decoder has two stacks."""
    found: dict[str, int] = {}
    for name, _ in model.named_parameters():
        if place := _LAYER.match(name):
            found[place[1]] = max(found.get(place[1], 0), int(place[2]) + 1)
    return found


def freeze(model: nn.Module, names: tuple[str, ...]) -> None:
    """Stop training what ``names`` say.

    Each is ``word_embeddings``, ``embeddings`` (those of positions, and their norms, too), ``layers.0-3`` (of every
    stack), ``encoder`` (all but the head), or the beginning of a parameter's name.

    Raises:
        TrainingError: a name that no parameter has, or nothing is left to train.
    """
    for name in names:
        matching = [p for parameter, p in model.named_parameters() if _matches(parameter, name)]
        if not matching:
            raise TrainingError(
                f"freeze: no parameter is called {name!r}",
                accepted=f"word_embeddings, embeddings, layers.0-{_deepest(model) - 1}, encoder, or how a name begins",
            )
        for parameter in matching:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise TrainingError(
            f"freeze: {', '.join(names)} leaves nothing to train",
            accepted="fewer names; a head always trains",
        )


def require_head(model: nn.Module) -> None:
    """Refuse a head that would stay as it was drawn: what no run has trained nobody stores.

    Raises:
        TrainingError: part of it is frozen.
    """
    frozen = next(
        (n for n, p in model.named_parameters() if n.startswith("head.") and not p.requires_grad), None
    )
    if frozen is not None:
        raise TrainingError(
            f"freeze: {frozen} belongs to a head that begins fresh",
            accepted="names of the encoder; the head of a model to go on from (--start-from)",
        )


def below_top(model: nn.Module, layers: int) -> tuple[str, ...]:
    """The names that ``freeze`` needs so that only the top ``layers`` of each stack (and what is above) train.

    Raises:
        TrainingError: there are fewer.
    """
    if layers > (most := _deepest(model)):
        raise TrainingError(f"train_top {layers}", accepted=f"0 to {most}, the layers that the model has")
    lower = (f"{stack}.{n}." for stack, count in depth(model).items() for n in range(count - layers))
    return ("embeddings", *lower)


def rate_factor(name: str, layers: Mapping[str, int], decay: float) -> float:
    """Times the learning rate: decay^(distance from the top layer of its stack) (Howard, Ruder 2018).

    Embeddings lie below all ``layers``; what is above them (heads, last norms) learns as fast as the top one, and so
    does the prompt that tuning adds, of which nothing has been learned before.
    """
    if is_embedding(name):
        return float(decay ** max(layers.values(), default=0))
    found = _LAYER.match(name)
    return float(decay ** (layers[found[1]] - 1 - int(found[2]))) if found else 1.0


def _deepest(model: nn.Module) -> int:
    return max(depth(model).values(), default=0)


def _matches(parameter: str, name: str) -> bool:
    if name == "word_embeddings":
        return any(f".{table}." in parameter for table in _WORD_TABLES)
    if name == "embeddings":
        return is_embedding(parameter)
    if name == "encoder":
        return parameter.startswith("encoder.")
    found = _LAYERS.fullmatch(name)
    if not found:
        return parameter.startswith(name)
    layer = layer_of(parameter)
    return layer is not None and int(found[1]) <= layer <= int(found[2] or found[1])
