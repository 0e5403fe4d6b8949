"""Layers by name: what is frozen, and how much slower lower layers learn."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from ragqa import plugins
from ragqa.errors import TrainingError
from ragqa.models.span import SpanModel
from ragqa.training.layers import below_top, depth, freeze, layer_of, rate_factor


def model_of(layers: int = 4) -> SpanModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=8
    )
    return SpanModel(BertModel(config, add_pooling_layer=False), 8)


def training(model: SpanModel) -> set[str]:
    """What trains: the head, the embeddings, and numbers of layers."""
    found = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer = layer_of(name)
            found.add(
                str(layer) if layer is not None else name.split(".")[0 if name.startswith("head") else 1]
            )
    return found


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("embeddings",), {"head", "0", "1", "2", "3"}),
        (("embeddings", "layers.0-2"), {"head", "3"}),
        (("layers.3",), {"head", "embeddings", "0", "1", "2"}),
        (("encoder",), {"head"}),
        (("encoder.encoder.layer.0.", "head."), {"embeddings", "1", "2", "3"}),
    ],
)
def test_what_is_named_stays_and_the_rest_trains(names: tuple[str, ...], left: set[str]) -> None:
    model = model_of()
    freeze(model, names)
    assert training(model) == left


def test_word_embeddings_are_found_under_every_tuning(tiny_bert: Path) -> None:
    for name in plugins.names("tuning"):
        model = SpanModel.from_backbone(tiny_bert, 0.0)
        plugins.build("tuning", {"name": name}).apply(model)
        freeze(model, ("word_embeddings",))
        assert not any(p.requires_grad for n, p in model.named_parameters() if "word_embeddings" in n)


@pytest.mark.parametrize(
    ("top", "left"), [(0, {"head"}), (1, {"head", "3"}), (4, {"head", "0", "1", "2", "3"})]
)
def test_the_top_layers_train(top: int, left: set[str]) -> None:
    model = model_of()
    freeze(model, below_top(model, top))
    assert training(model) == left


def test_more_top_layers_than_there_are_are_refused() -> None:
    with pytest.raises(TrainingError, match="train_top 5; accepted: 0 to 4"):
        below_top(model_of(), 5)


def test_a_name_that_nothing_has_and_freezing_everything_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"no parameter is called 'layers.7'; accepted: .*layers.0-3"):
        freeze(model_of(), ("layers.7",))
    with pytest.raises(TrainingError, match="leaves nothing to train"):
        freeze(model_of(), ("encoder", "head."))


def test_rates_fall_from_the_top_layer_to_the_embeddings() -> None:
    model = model_of()
    names = [
        "head.weight",
        "encoder.encoder.layer.3.output.dense.weight",
        "encoder.encoder.layer.0.output.dense.weight",
        "encoder.embeddings.word_embeddings.weight",
    ]
    assert [rate_factor(name, depth(model), 0.5) for name in names] == [1.0, 1.0, 0.125, 0.0625]
