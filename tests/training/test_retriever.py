"""``finetune`` of the retriever: questions find their passages better, and other tools load what comes out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ragqa import checkpoints, plugins
from ragqa.encoders.sentence_transformer import QUERY_SIDE, SentenceTransformerEncoder
from ragqa.errors import ConfigError, TrainingError
from ragqa.models.bi_encoder import BiEncoder, load_encoder
from ragqa.models.loading import overlay
from ragqa.training.run import finetune, prepare
from ragqa.training.run_files import load_run
from ragqa.training.settings import RetrieverRun
from ragqa.training.trainer import Trainer

QUESTIONS = ["Where does the walrus of group 1 live?", "How often was the toad of group 2 seen?"]

LONG = {"epochs": 40, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 20}


def described(folder: Path, bert: Path, questions: Path, **more: Any) -> Path:
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "dropout": 0.1,
        "validation_documents": 1,
        "test_documents": 1,
        "schedule": {
            "epochs": 4,
            "batch_groups": 6,
            "learning_rate": 3e-3,
            "checkpoint_minutes": 1e-9,
            "validate_steps": 4,
        },
        **more,
    }
    path = folder / "retriever.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def trained(folder: Path, bert: Path, questions: Path, **more: Any) -> Any:
    torch.set_num_threads(1)
    run = load_run(described(folder, bert, questions, **more), RetrieverRun)
    return finetune(run, resume=False, report=lambda _: None)


def test_negatives_may_be_mined_for_each_question(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    values: dict[str, Any] = {"both_sides": True, "mining": {"last_rank": 8}, "hard_negatives": 2}
    run = load_run(described(tmp_path, tiny_bert, questions, **values), RetrieverRun)
    said: list[dict[str, Any]] = []
    prepared = prepare(run, said.append)
    assert any("false_negatives_removed_percent" in values for values in said)
    groups, _ = prepared.trainer.epoch(0)
    mined = {id(e): {p.id for p in e.hard_negatives} for e in prepared.task.training}
    assert all(mined.values())
    passages = prepared.task.objective._passages  # type: ignore[attr-defined]
    for group in groups:
        brought = {passages[row].id for row in group.passages if row != group.row}
        assert len(brought) == 2
        assert brought <= {name for e in group.examples for name in mined[id(e)]}
    with pytest.raises(ConfigError, match="mining is for both_sides"):
        load_run(described(tmp_path, tiny_bert, questions, mining={}), RetrieverRun)
    with pytest.raises(ConfigError, match="hard_negatives is for both_sides"):
        load_run(described(tmp_path, tiny_bert, questions, hard_negatives=2), RetrieverRun)


@pytest.mark.parametrize("both_sides", [False, True])
def test_sentence_transformers_loads_the_folder_and_gives_the_same_vectors(
    tmp_path: Path, tiny_bert: Path, questions: Path, both_sides: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    finished = trained(tmp_path, tiny_bert, questions, both_sides=both_sides, schedule=LONG, dropout=0.0)
    ours = SentenceTransformerEncoder(model=str(finished.model), precision="f32").encode_queries(QUESTIONS)
    untuned = SentenceTransformerEncoder(model=str(tiny_bert), precision="f32").encode_queries(QUESTIONS)
    theirs = SentenceTransformer(str(finished.model), device="cpu").encode(
        QUESTIONS, normalize_embeddings=True
    )
    assert np.allclose(ours, theirs, atol=1e-4)
    assert not np.allclose(ours, untuned, atol=1e-2)
    assert (finished.model / QUERY_SIDE).exists() is not both_sides
    assert set(finished.comparison.measures) == {"nDCG@10", "recall@1", "recall@10"}


def test_training_brings_questions_nearer_to_their_passages(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    said: list[dict[str, Any]] = []
    values: dict[str, Any] = {"both_sides": True, "schedule": LONG, "dropout": 0.0}
    run = load_run(described(tmp_path, tiny_bert, questions, **values), RetrieverRun)
    finetune(run, resume=False, report=said.append)
    losses = [r["loss"] for r in said if "loss" in r]
    (before,) = [r["validation_before"] for r in said if "validation_before" in r]
    (best,) = [r["best_validation"] for r in said if "best_validation" in r]
    assert losses[-1] < losses[0] / 2
    assert best > before


@pytest.mark.parametrize("both_sides", [False, True])
@pytest.mark.parametrize("name", plugins.names("tuning"))
def test_every_tuning_is_served_as_it_was_trained(
    name: str,
    both_sides: bool,
    tmp_path: Path,
    tiny_bert: Path,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Trainer, "score", lambda self: float(self.step))  # the last weights are the best
    schedule = {"epochs": 4, "batch_groups": 6, "learning_rate": 1e-2, "validate_steps": 4}
    values = {"tuning": name, "both_sides": both_sides, "test_documents": 0, "schedule": schedule}
    finished = trained(tmp_path, tiny_bert, questions, **values)
    model = BiEncoder.from_folder(tiny_bert).eval()
    plugins.build("tuning", {"name": name}).apply(model)
    best = checkpoints.load_tensors(tmp_path / "run" / "best.safetensors")
    overlay(model, best, finished.model)
    towers = (finished.model, None) if both_sides else (tiny_bert, str(finished.model))
    served = SentenceTransformerEncoder(model=str(towers[0]), query_model=towers[1], precision="f32")
    untuned = SentenceTransformerEncoder(model=str(tiny_bert), precision="f32").encode_queries(QUESTIONS)
    expected = []
    for question in QUESTIONS:
        ids = torch.tensor([served._queries._tokenizer.encode(question).ids])
        with torch.inference_mode():
            (vectors,) = model(ids, torch.ones_like(ids), torch.zeros_like(ids))
        expected.append(vectors[0].numpy())
    assert not np.allclose(expected, untuned, atol=2e-3)
    assert np.allclose(served.encode_queries(QUESTIONS), expected, atol=1e-4)
    passages = served.encode_passages(QUESTIONS)
    assert np.allclose(passages, expected if both_sides else untuned, atol=1e-4)


def test_an_encoder_of_queries_leaves_the_index_valid_and_belongs_to_its_passages(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    finished = trained(tmp_path, tiny_bert, questions)
    plain = SentenceTransformerEncoder(model=str(tiny_bert), precision="f32")
    tuned = SentenceTransformerEncoder(model=str(tiny_bert), query_model=str(finished.model), precision="f32")
    assert tuned.fingerprint == plain.fingerprint
    assert np.array_equal(tuned.encode_passages(QUESTIONS), plain.encode_passages(QUESTIONS))
    assert not np.allclose(tuned.encode_queries(QUESTIONS), plain.encode_queries(QUESTIONS), atol=1e-2)
    with pytest.raises(ConfigError, match="384") as caught:
        SentenceTransformerEncoder(query_model=str(finished.model))
    assert "32 dimensions" in caught.value.found
    side = finished.model / QUERY_SIDE
    side.write_text('{"passages": "of another encoder"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="trained towards the vectors of another encoder"):
        SentenceTransformerEncoder(model=str(tiny_bert), query_model=str(finished.model))


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path,
    tiny_bert: Path,
    questions: Path,
    both_sides: bool,
    kill_at: Callable[[Path, str, int], None],
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    trained(tmp_path / "whole", tiny_bert, questions, both_sides=both_sides)
    path = described(tmp_path / "killed", tiny_bert, questions, both_sides=both_sides)
    kill_at(path, "retriever", 5)
    finetune(load_run(path, RetrieverRun), resume=True, report=lambda _: None)
    for name in ("last.safetensors", "best.safetensors"):
        killed, whole = tmp_path / "killed" / "run" / name, tmp_path / "whole" / "run" / name
        assert killed.read_bytes() == whole.read_bytes(), name


def test_a_blend_stands_between_the_untuned_weights_and_the_trained(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    stored = {}
    for share in (1.0, 0.25):
        folder = tmp_path / str(share)
        folder.mkdir()
        values = {"both_sides": True, "schedule": LONG, "dropout": 0.0}
        model = trained(folder, tiny_bert, questions, blend=share, **values).model
        stored[share] = load_encoder(model).state_dict()
    before = load_encoder(tiny_bert).state_dict()
    name = "encoder.encoder.layer.0.output.dense.weight"
    moved = stored[1.0][name] - before[name]
    assert moved.abs().max() > 1e-3
    assert torch.allclose(stored[0.25][name] - before[name], 0.25 * moved, atol=1e-5)
    with pytest.raises(TrainingError, match="cannot be blended"):
        trained(tmp_path, tiny_bert, questions, blend=0.5, tuning="adapter")


def test_sizes_that_the_vectors_do_not_have_are_refused(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    with pytest.raises(TrainingError, match="matryoshka: 8, 33; accepted: sizes from 1 to 32"):
        trained(tmp_path, tiny_bert, questions, matryoshka=[8, 33])


def test_a_backbone_that_only_adds_is_refused(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "config.json").write_text('{"backbone": "builtin"}', encoding="utf-8")
    with pytest.raises(TrainingError, match="only adds to another one"):
        trained(tmp_path, tmp_path / "added", questions)


def test_a_beir_folder_trains_on_its_judgements(tmp_path: Path, tiny_bert: Path) -> None:
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    animals = [f"animal{n}" for n in range(60)]
    corpus = [{"_id": a, "title": "", "text": f"The {a} lives in the forest."} for a in animals]
    queries = [{"_id": f"q-{a}", "text": f"where is {a}?"} for a in animals]
    for name, records in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    judged = "".join(f"q-{a}\t{a}\t1\n" for a in animals[:50])
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    said: list[dict[str, Any]] = []
    run = load_run(
        described(tmp_path, tiny_bert, folder, validation_documents=5, test_documents=5), RetrieverRun
    )
    finished = finetune(run, resume=False, report=said.append)
    assert said[0] == {"training_questions": 40, "validation_questions": 5, "test_questions": 5}
    # 40 asked for and the 10 that nobody asked for; never one that a held-out question asks for.
    assert [r["passages"] for r in said if "passages" in r] == [50]
    assert finished.comparison is not None
    assert finished.comparison.questions == 5
