"""Layers by name: what is frozen, and how much slower lower layers learn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from ragqa import plugins
from ragqa.errors import TrainingError
from ragqa.models.generator import Generator
from ragqa.models.span import SpanModel
from ragqa.training.layers import below_top, depth, freeze, is_embedding, layer_of, rate_factor


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


SIZES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
ENDS = {"bos_token_id": 1, "eos_token_id": 2}
T5 = T5Config(
    vocab_size=30,
    d_model=16,
    d_kv=8,
    d_ff=16,
    num_heads=2,
    num_layers=2,
    num_decoder_layers=1,
    tie_word_embeddings=False,
    **ENDS,
)
BART = BartConfig(
    vocab_size=30,
    d_model=16,
    max_position_embeddings=16,
    encoder_layers=2,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=16,
    decoder_ffn_dim=16,
    forced_eos_token_id=None,
    **ENDS,
)
GPT2 = GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2, **ENDS)
BUILD: dict[str, Any] = {
    "bert": lambda: SpanModel(BertModel(BertConfig(**SIZES, num_hidden_layers=2)), 16),
    "gpt2": lambda: Generator(GPT2LMHeadModel(GPT2)),
    "llama": lambda: Generator(LlamaForCausalLM(LlamaConfig(**SIZES, num_hidden_layers=2, **ENDS))),
    "t5": lambda: Generator(T5ForConditionalGeneration(T5)),
    "bart": lambda: Generator(BartForConditionalGeneration(BART)),
}
"""A tiny model of each family, whose stacks have two layers, or one where an encoder has a decoder."""

BELOW = {
    "bert": {"embeddings"},
    "gpt2": {"transformer.wte", "transformer.wpe"},
    "llama": {"model.embed_tokens"},
    "t5": {"shared", "encoder.embed_tokens", "decoder.embed_tokens"},
    "bart": {
        "model.shared",
        *(f"model.{stack}.embed_positions" for stack in ("encoder", "decoder")),
        *(f"model.{stack}.layernorm_embedding" for stack in ("encoder", "decoder")),
    },
}
ABOVE = {
    "bert": {"head", "encoder.pooler"},
    "gpt2": {"encoder.transformer.ln_f"},
    "llama": {"encoder.model.norm", "encoder.lm_head"},
    "t5": {"encoder.encoder.final_layer_norm", "encoder.decoder.final_layer_norm", "encoder.lm_head"},
    "bart": set(),
}
LAYERS = {
    "bert": {"encoder.encoder.layer": 2},
    "gpt2": {"encoder.transformer.h": 2},
    "llama": {"encoder.model.layers": 2},
    "t5": {"encoder.encoder.block": 2, "encoder.decoder.block": 1},
    "bart": {"encoder.model.encoder.layers": 2, "encoder.model.decoder.layers": 1},
}


def expected_factor(family: str, name: str, decay: float) -> float:
    """By the tables above; a parameter that none of them names is an error."""
    if name.startswith(tuple(f"encoder.{part}." for part in BELOW[family])):
        return decay**2
    if name.startswith(tuple(f"{part}." for part in ABOVE[family])):
        return 1.0
    (factor,) = (
        decay ** (count - 1 - layer)
        for stack, count in LAYERS[family].items()
        for layer in range(count)
        if name.startswith(f"{stack}.{layer}.")
    )
    return factor


@pytest.mark.parametrize("family", BUILD)
def test_each_parameter_of_a_family_learns_by_its_place(family: str) -> None:
    model: nn.Module = BUILD[family]()
    for name, _ in model.named_parameters():
        assert rate_factor(name, depth(model), 0.5) == expected_factor(family, name, 0.5), name


@pytest.mark.parametrize("family", BUILD)
def test_frozen_embeddings_are_all_that_lies_below_the_layers(family: str) -> None:
    model: nn.Module = BUILD[family]()
    freeze(model, ("embeddings",))
    below = tuple(f"encoder.{part}." for part in BELOW[family])
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(below), name


@pytest.mark.parametrize("family", BUILD)
def test_the_top_layers_of_each_stack_train(family: str) -> None:
    model: nn.Module = BUILD[family]()
    freeze(model, below_top(model, 1))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (expected_factor(family, name, 0.5) == 1), name


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_vectors_before_the_input_train_while_embeddings_stay(family: str) -> None:
    model = BUILD[family]()
    plugins.build("tuning", {"name": "prompt", "size": 2}).apply(model)
    freeze(model, ("embeddings",))
    added = [n for n, p in model.named_parameters() if p.requires_grad and not n.startswith("head.")]
    assert len(added) == 1
    assert "prompt" in added[0]
    assert rate_factor(added[0], depth(model), 0.5) == 1


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("encoder.embeddings.tok_embeddings.weight", True),  # ModernBERT
        ("encoder.embeddings_project.weight", True),  # ELECTRA
        ("encoder.transformer.word_embeddings_layernorm.bias", True),  # BLOOM
        ("encoder.model.decoder.project_in.weight", True),  # OPT
        ("encoder.model.decoder.project_out.weight", False),
        ("encoder.gpt_neox.embed_in.weight", True),
        ("encoder.embed_out.weight", False),  # GPT-NeoX again
        ("encoder.encoder.relative_attention_bias.weight", True),  # MPNet, of all layers
        ("encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", False),
        ("head.words.word_embeddings.weight", False),
    ],
)
def test_other_families_are_known_by_name(name: str, below: bool) -> None:
    assert is_embedding(name) == below
