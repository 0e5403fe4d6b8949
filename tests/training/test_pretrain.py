"""Pre-training on documents: hidden words are guessed better, and the folder is a backbone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from peft import PeftModel
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from ragqa.config import PluginSpec
from ragqa.errors import DataError, TrainingError
from ragqa.models.generator import Generator, load_writer_tokenizer
from ragqa.training.objectives.continuation import ContinuationObjective
from ragqa.training.objectives.masked import MaskedObjective
from ragqa.training.recording import recording
from ragqa.training.run import finetune, plan
from ragqa.training.run_files import load_run
from ragqa.training.settings import PretrainRun, ReaderRun
from ragqa.training.targets.pretrain import expected
from ragqa.types import Example, Passage, Query
from ragqa.windows import load_tokenizer

PLACES = ("harbour", "meadow", "desert", "valley", "island", "forest")
ANIMALS = ("walrus", "badger", "heron", "otter", "lynx", "toad")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve documents in which each animal lives in one place, and one file that cannot be read."""
    folder = tmp_path_factory.mktemp("documents")
    for n in range(12):
        lines = [
            f"The {animal} of group {n} lives in the {place}. It was seen {k + 3} times in 19{n:02}."
            for k, (animal, place) in enumerate(zip(ANIMALS, PLACES, strict=True))
        ]
        (folder / f"notes {n}.md").write_text(
            "\n\n".join(f"# Group {n}-{i}\n\n{t}" for i, t in enumerate(lines))
        )
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 garbage")
    return folder


def described(folder: Path, bert: Path, documents: Path, **more: Any) -> Path:
    values = {
        "data": str(documents),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "validation_documents": 2,
        "schedule": {"epochs": 50, "batch_groups": 16, "learning_rate": 3e-3, "validate_steps": 60},
        **more,
    }
    path = folder / "pretrain.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_words_are_guessed_and_the_folder_is_a_backbone_for_other_runs(
    tmp_path: Path, tiny_bert: Path, documents: Path, questions: Path
) -> None:
    torch.set_num_threads(1)
    said: list[dict[str, Any]] = []
    run = load_run(described(tmp_path, tiny_bert, documents), PretrainRun)
    finished = finetune(run, resume=False, report=said.append)
    assert any("broken.pdf" in r["left out"] for r in said if "left out" in r)
    losses = [r["loss"] for r in said if "loss" in r]
    assert losses[-1] < losses[0] / 2
    assert max(r["validation"] for r in said if "validation" in r) > 0.3
    before, after = (AutoModel.from_pretrained(f).state_dict() for f in (tiny_bert, finished.model))
    assert before.keys() == after.keys()
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.allclose(before[name], after[name])
    assert (finished.model / "tokenizer.json").read_bytes() == (tiny_bert / "tokenizer.json").read_bytes()
    values = {
        "data": str(questions),
        "output": str(tmp_path / "reader"),
        "backbone": str(finished.model),
        "validation_documents": 1,
        "test_documents": 0,
        "schedule": {"epochs": 1, "batch_groups": 12},
    }
    reader = finetune(ReaderRun.model_validate(values), resume=False, report=lambda _: None).model
    assert json.loads((reader / "config.json").read_text())["backbone"] == str(finished.model)


def test_a_run_inside_its_documents_reads_nothing_of_its_own_and_goes_on(
    tmp_path: Path, tiny_bert: Path, documents: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(documents, folder)
    few = {"epochs": 1, "batch_groups": 16, "learning_rate": 1e-3, "max_steps": 2}
    values = {"data": str(folder), "output": str(folder / "runs" / "pretrain"), "schedule": few}
    run = load_run(described(tmp_path, tiny_bert, documents, **values), PretrainRun)
    before = run.documents()
    assert len(before) == 13
    with recording(lambda _: None, resume=False)(run.output) as report:
        finetune(run, resume=False, report=report)
    (folder / ".notes.md").write_text("What starts with a dot is no document.")
    assert run.documents() == before
    finetune(run, resume=True, report=lambda _: None)


def test_an_output_that_holds_the_documents_is_refused(
    tmp_path: Path, tiny_bert: Path, documents: Path
) -> None:
    path = described(tmp_path, tiny_bert, documents, output=str(documents))
    with pytest.raises(TrainingError, match=r"the output .* holds what is read"):
        plan(load_run(path, PretrainRun), lambda _: None)


def test_of_a_single_document_passages_are_put_aside(
    tmp_path: Path, tiny_bert: Path, documents: Path
) -> None:
    run = load_run(
        described(tmp_path, tiny_bert, documents / "notes 3.md", validation_documents=1), PretrainRun
    )
    said: list[dict[str, Any]] = []
    with pytest.raises(TrainingError, match=r"5 passages of documents are left for training.*more documents"):
        plan(run, said.append)
    (split,) = [r for r in said if "validation_questions" in r]
    assert (split["training_questions"], split["validation_questions"]) == (5, 1)
    named = run.model_copy(update={"validation_documents": ("no such file",)})
    with pytest.raises(TrainingError, match="names 'no such file', which is none of the 1 documents"):
        plan(named, said.append)


def test_a_tuning_that_does_not_fold_is_refused_before_any_training(
    tmp_path: Path, tiny_bert: Path, documents: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, documents, tuning="adapter"), PretrainRun)
    refused = "what adapter adds cannot be folded into a backbone; accepted: full, lora, bitfit"
    with pytest.raises(TrainingError, match=refused):
        finetune(run, resume=False, report=lambda _: None)


LINEAR = (
    *(f"attention.self.{part}.weight" for part in ("query", "key", "value")),
    *("attention.output.dense.weight", "intermediate.dense.weight", "output.dense.weight"),
)


@pytest.mark.parametrize("tuning", ["lora", "bitfit"])
def test_what_a_tuning_trains_is_folded_into_the_backbone_and_the_rest_stays(
    tmp_path: Path, tiny_bert: Path, documents: Path, tuning: str
) -> None:
    torch.set_num_threads(1)
    few = {"epochs": 2, "batch_groups": 16, "learning_rate": 3e-3, "validate_steps": 8}
    run = load_run(described(tmp_path, tiny_bert, documents, tuning=tuning, schedule=few), PretrainRun)
    found = AutoModel.from_pretrained(finetune(run, resume=False, report=lambda _: None).model).state_dict()
    before = AutoModel.from_pretrained(tiny_bert).state_dict()
    assert found.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], found[name])}
    if tuning == "lora":
        assert moved == {f"encoder.layer.0.{part}" for part in LINEAR}
    else:
        assert {"embeddings.LayerNorm.bias", "encoder.layer.0.output.dense.bias"} <= moved
        assert all(name.endswith(".bias") for name in moved)


def test_hidden_words_are_15_percent_mostly_masked_and_never_special(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    text = "the walrus of group lives in the harbour " * 40
    objective = MaskedObjective(tokenizer)
    example = Example(Query(""), positives=(Passage("d", 0, len(text), text),))
    objective.prepare([example])
    mask = tokenizer.token_to_id("[MASK]")
    masked = replaced = kept = 0
    for seed in range(30):
        found = objective.group(example, np.random.default_rng(seed))
        assert found is not None
        assert not found.chosen[0]
        assert not found.chosen[-1]
        assert found.chosen.sum() == round(0.15 * (found.length - 2))
        assert np.array_equal(found.ids[~found.chosen], found.words[~found.chosen])
        masked += int((found.ids[found.chosen] == mask).sum())
        kept += int((found.ids[found.chosen] == found.words[found.chosen]).sum())
        replaced += int(found.chosen.sum())
    assert masked / replaced == pytest.approx(0.8, abs=0.05)
    assert kept / replaced == pytest.approx(0.1, abs=0.05)


def causal(folder: Path, tiny_bert: Path) -> Path:
    """A tiny random GPT-2 with the words of the tiny BERT."""
    torch.manual_seed(2)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tiny_bert / "tokenizer.json"),
        eos_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
    )
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_causal_model_expects_the_next_words_and_stays_whole(
    tmp_path: Path, tiny_bert: Path, documents: Path, tuning: str
) -> None:
    torch.set_num_threads(1)
    said: list[dict[str, Any]] = []
    folder = causal(tmp_path / "gpt", tiny_bert)
    schedule = {"epochs": 20, "batch_groups": 16, "learning_rate": 5e-3, "validate_steps": 40}
    run = load_run(described(tmp_path, folder, documents, tuning=tuning, schedule=schedule), PretrainRun)
    finished = finetune(run, resume=False, report=said.append)
    (before,) = [r["validation_before"] for r in said if "validation_before" in r]
    (best,) = [r["best_validation"] for r in said if "best_validation" in r]
    assert best > (2 if tuning == "full" else 1.3) * before  # LoRA leaves the words as they are
    model = AutoModelForCausalLM.from_pretrained(finished.model)
    tokenizer = AutoTokenizer.from_pretrained(finished.model)
    ids = torch.tensor(
        [tokenizer("The walrus of group 3 lives in the harbour.", add_special_tokens=False)["input_ids"]]
    )
    untrained = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        assert model(input_ids=ids, labels=ids).loss < untrained(input_ids=ids, labels=ids).loss


def test_one_over_the_perplexity_is_what_is_measured(tmp_path: Path, tiny_bert: Path) -> None:
    model = Generator.from_folder(causal(tmp_path / "gpt", tiny_bert)).eval()
    objective = ContinuationObjective(load_writer_tokenizer(tmp_path / "gpt"))
    texts = ["The walrus lives in the harbour.", "A toad was seen."]
    asked = [
        Example(Query(""), positives=(Passage(f"d{n}", 0, len(text), text),)) for n, text in enumerate(texts)
    ]
    objective.prepare(asked)
    rows = [row for e in asked if (row := objective.group(e, np.random.default_rng(0))) is not None]
    total, count = 0.0, 0
    for row in rows:
        with torch.inference_mode():
            shares = model.encoder(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
        for place, token in enumerate(row.ids[1:]):
            total, count = total + float(shares[place, token]), count + 1
    assert expected(model, objective, rows) == pytest.approx(np.exp(total / count), rel=1e-4)


def test_a_sequence_to_sequence_model_is_refused(tmp_path: Path, tiny_bert: Path, documents: Path) -> None:
    folder = causal(tmp_path / "bart", tiny_bert)
    config = BartConfig(
        vocab_size=100, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16
    )
    BartForConditionalGeneration(config).save_pretrained(folder)
    with pytest.raises(TrainingError, match="sequence-to-sequence"):
        finetune(
            load_run(described(tmp_path, folder, documents), PretrainRun), resume=False, report=lambda _: None
        )


def test_no_word_is_hidden_from_a_causal_model(tmp_path: Path, tiny_bert: Path, documents: Path) -> None:
    folder = causal(tmp_path / "gpt", tiny_bert)
    run = load_run(described(tmp_path, folder, documents, masked_share=0.3), PretrainRun)
    with pytest.raises(TrainingError, match=r"masked_share = 0\.3: .*gpt is causal"):
        plan(run, lambda _: None)


def test_a_passage_that_stands_in_two_documents_is_learned_once_and_told(
    tmp_path: Path, tiny_bert: Path, documents: Path
) -> None:
    folder = tmp_path / "documents"
    shutil.copytree(documents, folder)
    shutil.copy(folder / "notes 0.md", folder / "notes 0 again.md")
    said: list[dict[str, Any]] = []
    plan(load_run(described(tmp_path, tiny_bert, folder), PretrainRun), said.append)
    left_out = [r["left out"] for r in said if "left out" in r]
    assert any(line.endswith("passages that an earlier one repeats word for word") for line in left_out)
    assert not any("asked before" in line for line in left_out)


def test_a_folder_without_text_is_said_to_hold_none(tmp_path: Path, tiny_bert: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "picture.png").write_bytes(b"PNG")
    run = PretrainRun(data=(tmp_path / "empty",), backbone=str(tiny_bert), output=tmp_path / "run")
    with pytest.raises(
        DataError, match=r"no text in .*empty; accepted: documents of the kinds that ragqa index reads"
    ):
        plan(run, lambda _: None)


def test_lora_of_a_backbone_loads_in_peft(tmp_path: Path, tiny_bert: Path, documents: Path) -> None:
    few = {"epochs": 1, "batch_groups": 16, "learning_rate": 3e-3}
    run = load_run(described(tmp_path, tiny_bert, documents, tuning="lora", schedule=few), PretrainRun)
    model = finetune(run, resume=False, report=lambda _: None).model
    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_bert), str(model / "peft"))
    merged = loaded.merge_and_unload().state_dict()
    stored = AutoModel.from_pretrained(model).state_dict()
    assert all(torch.allclose(merged[name], stored[name], atol=1e-5) for name in stored)

    # Another run on this backbone leaves nothing of the first one's beside its own.
    again = run.model_copy(
        update={"backbone": str(model), "output": tmp_path / "again", "tuning": PluginSpec(name="full")}
    )
    assert not (finetune(again, resume=False, report=lambda _: None).model / "peft").exists()
