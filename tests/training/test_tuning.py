"""Every tuning: what trains, what is stored, and that the stored reader is the trained one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXModel, LlamaConfig, LlamaModel, T5Config, T5EncoderModel

from ragqa import checkpoints, plugins, pretrained
from ragqa.errors import ModelError, PluginError, TrainingError
from ragqa.models.pair import PairModel
from ragqa.models.span import SpanModel, load_span
from ragqa.protocols import ENCODES
from ragqa.readers.extractive import ExtractiveReader
from ragqa.training.run import finetune, megabytes
from ragqa.training.run_files import load_run
from ragqa.training.settings import ReaderRun
from ragqa.types import Hit, Passage, Query

TUNINGS = plugins.names("tuning")
ADDED = [name for name in TUNINGS if name != "full"]
IDS = torch.tensor([[2, 9, 3, 11, 12, 13, 3], [2, 8, 3, 14, 3, 0, 0]])
MASK = (IDS > 0).long()


def outputs(model: nn.Module) -> torch.Tensor:
    """Start and end scores of two inputs, those of padding left out."""
    with torch.inference_mode():
        start, end = model.eval()(IDS, MASK, torch.zeros_like(IDS))
    return torch.cat([(scores * MASK).flatten() for scores in (start, end)])


def run_of(folder: Path, bert: Path, questions: Path, tuning: str, **more: Any) -> ReaderRun:
    values: dict[str, Any] = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "tuning": tuning,
        "validation_documents": 1,
        "test_documents": 0,
        "hard_negatives": 2,
        "schedule": {"epochs": 4, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 8},
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_run(path, ReaderRun)


@pytest.fixture(scope="module", params=TUNINGS)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, questions: Path
) -> tuple[str, Path, list[dict[str, Any]]]:
    """Name, model folder and reports of a short run with one tuning."""
    torch.set_num_threads(1)
    said: list[dict[str, Any]] = []
    folder = tmp_path_factory.mktemp(request.param)
    run = run_of(folder, tiny_bert, questions, request.param)
    return request.param, finetune(run, resume=False, report=said.append).model, said


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, questions: Path) -> Path:
    """A reader that was trained in full, for others to be trained on top of."""
    folder = tmp_path_factory.mktemp("base")
    run = run_of(folder, tiny_bert, questions, "full", storage="float32")
    return finetune(run, resume=False, report=lambda _: None).model


@pytest.mark.parametrize("name", TUNINGS)
def test_training_begins_with_the_model_as_it_was(name: str, tiny_bert: Path) -> None:
    if name == "prompt":
        pytest.skip("a prompt is new input from the first step")
    torch.manual_seed(0)
    model = SpanModel.from_backbone(tiny_bert, 0.0)
    before = outputs(model)
    plugins.build("tuning", {"name": name}).apply(model)
    assert torch.allclose(outputs(model), before, atol=1e-6)


@pytest.mark.parametrize("name", ADDED)
def test_few_weights_train_and_the_head_always_does(name: str, tiny_bert: Path) -> None:
    model = SpanModel.from_backbone(tiny_bert, 0.0)
    whole = sum(p.numel() for p in model.parameters())
    plugins.build("tuning", {"name": name}).apply(model)
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias"} < names
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) < whole / 2


def test_the_share_of_trained_weights_is_reported(trained: tuple[str, Path, list[dict[str, Any]]]) -> None:
    name, _, said = trained
    (share,) = [r for r in said if "trained_parameters" in r]
    assert share["tuning"] == name
    assert 0 < share["percent"] <= 100


def test_the_stored_reader_is_the_trained_one(trained: tuple[str, Path, list[dict[str, Any]]]) -> None:
    name, folder, _ = trained
    stored, best = checkpoints.load(folder), checkpoints.load_tensors(folder.parent / "best.safetensors")
    assert stored.keys() == best.keys()
    if name != "full":
        assert all(torch.equal(stored[key], best[key]) for key in best)
    model, _tuning = SpanModel.stored(folder)
    assert torch.allclose(outputs(load_span(folder)), outputs(model), atol=1e-5)


def test_the_runtime_serves_what_was_trained(trained: tuple[str, Path, list[dict[str, Any]]]) -> None:
    _, folder, _ = trained
    text = "The walrus of group 1 lives in the harbour. It was seen 4 times in 1901."
    hits = [Hit(Passage("notes", 0, len(text), text, "Walrus"), 0.9, {"dense": 0.8, "bm25": 3.0})]
    reader = ExtractiveReader(model=str(folder), precision="f32", threshold=0.0)
    (reading,) = reader.network.readings([Query("Where does the walrus of group 1 live?")], [hits])
    assert reading is not None
    (again,) = ExtractiveReader(model=str(folder), precision="f32").network.readings(
        [Query("Where does the walrus of group 1 live?")], [hits]
    )
    assert again == reading
    served = reader.network._runtime.run([tuple(t.numpy() for t in (IDS, MASK, torch.zeros_like(IDS)))])[0]  # type: ignore[list-item]
    found = torch.cat([(torch.from_numpy(scores) * MASK).flatten() for scores in served])
    assert torch.allclose(found, outputs(load_span(folder)), atol=1e-3)


@pytest.mark.parametrize("trained", ["lora", "prompt"], indirect=True)
def test_peft_loads_what_it_has_a_format_for(
    trained: tuple[str, Path, list[dict[str, Any]]], tiny_bert: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    _, folder, _ = trained
    encoder = AutoModel.from_pretrained(tiny_bert, add_pooling_layer=False)
    wrapped = PeftModel.from_pretrained(encoder, str(folder / "peft")).eval()
    ours = SpanModel.stored(folder)[0].eval()
    with torch.inference_mode():
        theirs = wrapped(input_ids=IDS, attention_mask=MASK).last_hidden_state[:, -IDS.shape[1] :]
        mine = ours.encoder(
            input_ids=IDS, attention_mask=MASK, token_type_ids=torch.zeros_like(IDS)
        ).last_hidden_state
    assert torch.allclose(theirs[MASK.bool()], mine[MASK.bool()], atol=1e-5)


def test_peft_is_given_the_reader_that_an_adapter_stands_on(
    base: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    run = run_of(tmp_path, tiny_bert, questions, "lora", start_from=str(base))
    folder = finetune(run, resume=False, report=lambda _: None).model
    there = AutoModel.from_pretrained(folder / "peft" / "base", add_pooling_layer=False).float()
    wrapped = PeftModel.from_pretrained(there, str(folder / "peft")).eval()
    ours = SpanModel.stored(folder)[0].eval()
    inputs = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": torch.zeros_like(IDS)}
    with torch.inference_mode():
        theirs, mine = (model(**inputs).last_hidden_state for model in (wrapped, ours.encoder))
    assert torch.allclose(theirs[MASK.bool()], mine[MASK.bool()], atol=1e-2)  # the base is stored in float16
    assert megabytes(folder) < 1


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_to_a_reader_needs_that_reader(
    name: str, base: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    copy = tmp_path / "base"
    copy.mkdir()
    for file in base.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    run = run_of(tmp_path, tiny_bert, questions, name, start_from=str(copy))
    folder = finetune(run, resume=False, report=lambda _: None).model
    size = (folder / "model.safetensors").stat().st_size
    assert size < (copy / "model.safetensors").stat().st_size
    load_span(folder)
    with pytest.raises(TrainingError, match=f"only adds {name} to another one"):
        finetune(
            run_of(
                tmp_path, tiny_bert, questions, "full", start_from=str(folder), output=str(tmp_path / "on")
            ),
            resume=False,
            report=lambda _: None,
        )
    weights = checkpoints.load(copy)
    weights["head.bias"] = weights["head.bias"] + 1
    checkpoints.save(copy, weights, json.loads((copy / "config.json").read_text()), "float32")
    with pytest.raises(ModelError, match="on top of another model"):
        load_span(folder)
    assert pretrained.base_of(copy) is None


def test_a_tuning_that_does_not_exist_names_those_that_do(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    with pytest.raises(PluginError, match="adapter, bitfit, full, lora, prompt"):
        finetune(run_of(tmp_path, tiny_bert, questions, "lorra"), resume=False, report=lambda _: None)


SIZES = {"vocab_size": 30, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
T5_SIZES = {"vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2, "num_layers": 1}
OTHERS: dict[str, Any] = {
    "llama": lambda: LlamaModel(LlamaConfig(**SIZES, intermediate_size=24)),
    "t5": lambda: T5EncoderModel(T5Config(**T5_SIZES)),
    "gpt_neox": lambda: GPTNeoXModel(GPTNeoXConfig(**SIZES, intermediate_size=24)),
}


def applied(tuning: str, family: str) -> Any:
    """The encoder of ``family`` after a tuning was applied to it."""
    model = SimpleNamespace(encoder=OTHERS[family](), peft_task=ENCODES)
    model.requires_grad_ = model.encoder.requires_grad_
    plugins.build("tuning", {"name": tuning}).apply(model)
    return model.encoder


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_an_encoder_without_biases_is_refused_by_bitfit_with_what_it_can_take(family: str) -> None:
    # T5 has a table of relative positions whose name ends in bias.weight: it is none.
    with pytest.raises(TrainingError) as caught:
        applied("bitfit", family)
    assert caught.value.found == "tuning bitfit: this encoder has no biases"
    accepted = str(caught.value.accepted).split(", ")
    assert set(accepted) == set(TUNINGS) - {"bitfit"}
    for name in accepted:
        assert any(p.requires_grad for p in applied(name, family).parameters()), name


def test_an_encoder_whose_layers_are_not_known_is_refused_by_the_adapter_with_what_it_can_take() -> None:
    with pytest.raises(TrainingError) as caught:
        applied("adapter", "gpt_neox")
    assert caught.value.found == "tuning adapter: the layers of this encoder are not known"
    assert "DistilBERT" in str(caught.value.accepted)
    assert caught.value.next_step == "take lora or full"
    for name in ("lora", "full"):
        assert any(p.requires_grad for p in applied(name, "gpt_neox").parameters())


@pytest.mark.parametrize("name", plugins.names("tuning"))
def test_what_a_tuning_adds_is_computed_for_the_first_token_as_for_all(name: str, tiny_bert: Path) -> None:
    torch.manual_seed(1)
    model = PairModel.from_backbone(tiny_bert, dropout=0.0)
    plugins.build("tuning", {"name": name}).apply(model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(5, 40, (2, 6))
    mask = (torch.arange(6) < torch.tensor([6, 3])[:, None]).long()
    kinds = torch.zeros_like(ids)
    (found,) = model.eval()(ids, mask, kinds)
    torch.testing.assert_close(found, model.head(model.hidden(ids, mask, kinds)[:, 0]).squeeze(-1))
