"""``finetune`` of the reranker: from questions to a pipeline that puts the right passage first."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import BertConfig, BertModel

from ragqa import plugins
from ragqa.config import Config
from ragqa.errors import ConfigError, ModelError
from ragqa.indexing import build_index
from ragqa.models.pair import PairModel
from ragqa.models.span import SpanModel
from ragqa.pipeline import load_pipeline
from ragqa.rerankers.cross_encoder import FITTED, LEG, CrossEncoderReranker, Mixture
from ragqa.training.run import finetune
from ragqa.training.run_files import load_run
from ragqa.training.settings import ReaderRun, RerankerRun
from ragqa.types import Hit, Passage, Query

SCHEDULE = {"epochs": 30, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 15}
TEXTS = [
    "The walrus of group 1 lives in the harbour. It was seen 4 times in 1901.",
    "The heron of group 2 lives in the island. It was seen 5 times in 1922.",
    "The toad of group 0 lives in the island. It was seen 3 times in 1950.",
]
HITS = [
    Hit(Passage(f"d{n}", 0, len(t), t, "notes"), 0.5 - 0.1 * n, {"bm25": 1.0}) for n, t in enumerate(TEXTS)
]


def described(folder: Path, bert: Path, questions: Path, **more: Any) -> Path:
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "start_from": None,
        "mining": {"retriever": "bm25"},
        "validation_documents": 1,
        "test_documents": 1,
        "schedule": SCHEDULE,
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_what_is_not_said_of_mining_is_as_for_every_reranker(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, mining={"margin": 0.9}), RerankerRun)
    assert (run.mining.retriever, run.mining.last_rank, run.mining.margin) == ("hybrid", 20, 0.9)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions whose right passage speaks of a harbour, which a tiny model can learn, and BM25 cannot know."""
    path = tmp_path_factory.mktemp("marked") / "harbour.jsonl"
    animals = ("walrus", "badger", "heron", "otter", "lynx", "toad")
    records = [
        {
            "question": f"Where does the {animal} of group {n} live?",
            "passage": f"The {animal} of group {n} lives in the harbour, as it was seen in 1901 and 1922.",
            "answers": ["the harbour"],
            "negatives": [
                f"The {animal} of group {n} lives in the {place}." for place in ("desert", "valley")
            ],
            "document": animal,
        }
        for animal in animals
        for n in range(6)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    return []


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, marked: Path, said: list[dict[str, Any]]
) -> Path:
    torch.set_num_threads(1)
    run = load_run(described(tmp_path_factory.mktemp("reranker"), tiny_bert, marked), RerankerRun)
    finished = finetune(run, resume=False, report=said.append)
    assert finished.comparison is not None
    assert set(finished.comparison.measures) == {"nDCG@10", "recall@1"}
    return finished.model


def test_training_learns_to_tell_passages_apart_and_fits_the_weight(
    trained: Path, said: list[dict[str, Any]]
) -> None:
    losses = [r["loss"] for r in said if "loss" in r]
    assert losses[-1] < losses[0] / 2
    (fitted,) = [r for r in said if "weight" in r]
    assert fitted["ndcg@10"] > fitted["without"]
    assert fitted["weight"] > 0
    stored = json.loads((trained / FITTED).read_text())
    assert CrossEncoderReranker(model=str(trained)).mixture == Mixture(stored["weight"], stored["spread"])
    assert CrossEncoderReranker(model=str(trained), weight=0.25).mixture == Mixture(0.25, stored["spread"])
    assert stored["weight"] == fitted["weight"]
    assert stored["spread"] > 0


def test_a_reranker_that_gains_nothing_says_so(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    said: list[dict[str, Any]] = []
    still = {
        "epochs": 1,
        "max_steps": 1,
        "batch_groups": 12,
        "learning_rate": 1e-9,
        "head_learning_rate": 1e-9,
    }
    path = described(tmp_path, tiny_bert, questions, test_documents=0, schedule=still)
    finetune(load_run(path, RerankerRun), resume=False, report=said.append)
    (weight,) = [values["weight"] for values in said if "weight" in values]
    assert any("no gain" in values for values in said) is (weight == 0)
    assert weight == 0  # nothing was learned


@pytest.mark.parametrize("name", plugins.names("tuning"))
def test_every_tuning_is_served_as_it_was_trained(
    name: str, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    torch.set_num_threads(1)
    few = {"epochs": 2, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 8}
    path = described(tmp_path, tiny_bert, questions, tuning=name, test_documents=0, schedule=few)
    folder = finetune(load_run(path, RerankerRun), resume=False, report=lambda _: None).model
    reranker = CrossEncoderReranker(model=str(folder), precision="f32")
    (found,) = reranker.rerank([Query("Where does the heron of group 2 live?")], [HITS])
    model = PairModel.load(folder)
    for hit in found:
        one = reranker._lay_out(Query("Where does the heron of group 2 live?"), [hit])
        ids = torch.from_numpy(one.windows[0].ids)[None]
        kinds = torch.from_numpy(reranker._windower.segment(one.windows[0]))[None]
        with torch.inference_mode():
            (score,) = model(ids, torch.ones_like(ids), kinds)
        assert hit.legs[LEG] == pytest.approx(float(score), abs=1e-3)


def test_a_budget_of_time_reads_fewer_candidates_and_two_at_least(trained: Path) -> None:
    reranker = CrossEncoderReranker(model=str(trained), max_milliseconds=1e-6)
    asked = [Query("Where does the heron of group 2 live?")]
    for _ in range(2):  # the first query keeps to it, too
        (found,) = reranker.rerank(asked, [HITS])
        assert sum(LEG in hit.legs for hit in found) == 2
        assert len(found) == 3


def test_a_question_in_han_characters_keeps_its_order(trained: Path) -> None:
    (found,) = CrossEncoderReranker(model=str(trained)).rerank([Query("海象住在哪里？")], [HITS])
    assert found == HITS


def test_the_encoder_of_a_reader_is_a_start(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    torch.set_num_threads(1)
    values = {
        "data": str(questions),
        "output": str(tmp_path / "reader"),
        "backbone": str(tiny_bert),
        "storage": "float32",
        "validation_documents": 1,
        "test_documents": 0,
        "schedule": {"epochs": 2, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 4},
    }
    reader = finetune(ReaderRun.model_validate(values), resume=False, report=lambda _: None).model
    for tuning in ("full", "lora"):
        folder = tmp_path / tuning
        folder.mkdir()
        path = described(
            folder, tiny_bert, questions, start_from=str(reader), freeze=["encoder."], tuning=tuning
        )
        found = finetune(load_run(path, RerankerRun), resume=False, report=lambda _: None).model
        before, after = SpanModel.load(reader).state_dict(), PairModel.load(found).state_dict()
        encoder = [name for name in after if name.startswith("encoder.")]
        assert [name for name in encoder if not torch.allclose(before[name], after[name], atol=1e-2)] == []
        assert after["head.weight"].shape == (1, 32)


def test_a_pipeline_reads_more_candidates_than_it_shows(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for n, text in enumerate(TEXTS):
        (tmp_path / "docs" / f"{n}.txt").write_text(text, encoding="utf-8")
    plain = Config.from_values({"encoder": "hashing"})
    build_index([tmp_path / "docs"], tmp_path / "index", plain)
    values = {
        "encoder": "hashing",
        "reranker": {"name": "cross_encoder", "model": str(trained), "weight": 1.0},
    }
    with load_pipeline(tmp_path / "index", Config.from_values(values)) as pipeline:
        query = [Query("Where does the heron of group 2 live?")]
        (best,) = pipeline.retrieve(query, 1)[0]
        everything = pipeline.retrieve(query, 3)[0]
    assert best == everything[0]
    assert best.legs[LEG] == max(hit.legs[LEG] for hit in everything)
    assert {"rerank", "load reranker"} <= pipeline.timings.seconds.keys()


def test_a_model_of_fewer_layers_is_stored_and_served_so(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    deep = tmp_path / "deep"
    shutil.copytree(tiny_bert, deep)
    config = BertConfig.from_pretrained(tiny_bert, num_hidden_layers=4)
    torch.manual_seed(6)
    BertModel(config).save_pretrained(deep)
    brief = {**SCHEDULE, "epochs": 1, "max_steps": 2}
    first = load_run(described(tmp_path, deep, questions, layers=2, schedule=brief), RerankerRun)
    finetune(first, resume=False, report=lambda _: None)
    stored = first.output / "model"
    model = PairModel.load(stored)
    assert len(model.encoder.encoder.layer) == model.encoder.config.num_hidden_layers == 2
    untouched = BertModel.from_pretrained(deep).encoder.layer
    near = [
        min(range(4), key=lambda n: float((untouched[n].output.dense.weight - mine).abs().sum()))
        for mine in (layer.output.dense.weight for layer in model.encoder.encoder.layer)
    ]
    assert near == [1, 3]
    again = load_run(
        described(
            tmp_path,
            deep,
            questions,
            layers=1,
            schedule=brief,
            start_from=str(stored),
            output=str(tmp_path / "b"),
        ),
        RerankerRun,
    )
    finetune(again, resume=False, report=lambda _: None)
    single = PairModel.load(again.output / "model")
    (left,) = single.encoder.encoder.layer
    last = model.encoder.encoder.layer[1].output.dense.weight
    assert float((left.output.dense.weight - last).abs().max()) < 0.1
    reranker = CrossEncoderReranker(model=str(again.output / "model"), precision="f32")
    found = reranker.rerank([Query("Where does the heron live?")], [HITS])
    assert {hit.passage.doc_id for hit in found[0]} == {"d0", "d1", "d2"}


def test_more_layers_than_the_backbone_has_are_refused(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, layers=3), RerankerRun)
    with pytest.raises(ModelError, match="3 layers were asked for"):
        finetune(run, resume=False, report=lambda _: None)
    with pytest.raises(ConfigError, match="layers is for tuning full"):
        load_run(described(tmp_path, tiny_bert, questions, layers=1, tuning="lora"), RerankerRun)
