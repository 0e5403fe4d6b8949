"""``finetune joint``: from questions and answers alone to a retriever and a reader that work together."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import squad

from ragqa import data
from ragqa.config import Config
from ragqa.encoders.sentence_transformer import SentenceTransformerEncoder
from ragqa.errors import ConfigError, DataError, TrainingError
from ragqa.indexing import build_index
from ragqa.pretrained import read_calibration
from ragqa.training import joint
from ragqa.training.joint import LABELS, _identity, finetune_jointly, read
from ragqa.training.joint_plan import plan_jointly
from ragqa.training.run import finetune
from ragqa.training.run_files import load_run
from ragqa.training.run_folder import LAST, alone
from ragqa.training.settings import JointRun, ReaderRun
from ragqa.training.task import Report


@contextmanager
def unheard(folder: Path) -> Iterator[Report]:
    yield lambda _: None


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions and answers of the animals, without a word of where the answers stand."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    records = [
        {"question": qa["question"], "answers": [qa["answers"][0]["text"]]}
        for article in squad()["data"]  # type: ignore[attr-defined]
        for one in article["paragraphs"]
        for qa in one["qas"]
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paragraphs about the animals, each a document of the index."""
    folder = tmp_path_factory.mktemp("animals")
    (folder / "docs").mkdir()
    for article in squad()["data"]:  # type: ignore[attr-defined]
        for number, one in enumerate(article["paragraphs"]):
            (folder / "docs" / f"{article['title']}_{number}.txt").write_text(
                one["context"], encoding="utf-8"
            )
    config = Config.model_validate({"encoder": {"name": "hashing"}})
    build_index([folder / "docs"], folder / "index", config)
    return folder / "index"


@pytest.fixture(scope="module")
def first_reader(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, questions: Path) -> Path:
    torch.set_num_threads(1)
    schedule = {"epochs": 2, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 4}
    run = ReaderRun.model_validate(
        {
            "data": questions,
            "output": tmp_path_factory.mktemp("first") / "run",
            "backbone": str(tiny_bert),
            "validation_documents": 1,
            "test_documents": 0,
            "hard_negatives": 0,
            "schedule": schedule,
        }
    )
    return finetune(run, resume=False, report=lambda _: None).model


def described(output: Path, bert: Path, reader: Path, **more: Any) -> dict[str, Any]:
    shared = {"backbone": str(bert)}
    schedule = {"epochs": 3, "batch_groups": 8, "learning_rate": 1e-3, "validate_steps": 3}
    return {
        "output": output,
        "top_k": 8,
        "validation_documents": 1,
        "least_likelihood": 1e-9,
        "test_questions": 6,
        "retriever": {**shared, "both_sides": True, "schedule": schedule},
        "reader": {**shared, "start_from": str(reader), "hard_negatives": 0, "schedule": schedule},
        **more,
    }


def test_a_round_labels_the_passages_of_an_index_and_leaves_both_models(
    tmp_path: Path, pairs: Path, index: Path, tiny_bert: Path, first_reader: Path
) -> None:
    said: list[dict[str, Any]] = []
    values = described(tmp_path, tiny_bert, first_reader, data=pairs, index=index, rounds=1, test_questions=0)
    run = JointRun.model_validate(values)
    finished = finetune_jointly(run, resume=False, report=said.append, recording=unheard)
    assert finished.retriever == tmp_path / "round_1" / "retriever" / "model"
    assert finished.comparison is None
    labels = [json.loads(line) for line in (tmp_path / "round_1" / LABELS).read_text().splitlines()]
    assert 0 < len(labels) <= 36
    assert [r["labelled"] + r["without_a_hit"] for r in said if "labelled" in r] == [36]
    for record in labels:
        start, (answer,) = record["start"], record["answers"]
        assert record["passage"][start : start + len(answer)] == answer
        assert record["document"].startswith("docs/")
    encoder, reader = (
        SentenceTransformerEncoder(model=str(finished.retriever)),
        read_calibration(finished.reader),
    )
    assert encoder.dimension == 32
    assert reader.span.threshold == read_calibration(first_reader).span.threshold

    # Other settings are another run, whatever stands in the folder.
    other = JointRun.model_validate({**values, "top_k": 7})
    with pytest.raises(TrainingError, match="was begun with other top_k 8 there, 7 here; accepted"):
        finetune_jointly(other, resume=True, report=lambda _: None, recording=unheard)

    # Answers that the passages do not hold label nothing.
    elsewhere = tmp_path / "elsewhere"
    with alone(elsewhere), pytest.raises(TrainingError, match="another run trains in"):
        finetune_jointly(
            run.model_copy(update={"output": elsewhere}), resume=False, report=said.append, recording=unheard
        )
    (tmp_path / "file").write_text("")
    nowhere = run.model_copy(update={"output": tmp_path / "file"})
    with pytest.raises(TrainingError, match=r"file is a file; accepted: a folder"):
        finetune_jointly(nowhere, resume=False, report=said.append, recording=unheard)
    strict = JointRun.model_validate({**values, "output": elsewhere, "least_likelihood": 0.999999})
    with pytest.raises(
        TrainingError, match=r"finds answers in the hits of \d+ of 36 questions; accepted: 20 or more"
    ):
        finetune_jointly(strict, resume=False, report=lambda _: None, recording=unheard)
    assert not (elsewhere / "round_1" / LABELS).exists()

    # Nothing is searched, read or trained again.
    again: list[dict[str, Any]] = []
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    finetune_jointly(run, resume=True, report=again.append, recording=unheard)
    assert not any("labelled" in r for r in again)
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}

    # A run that begins again and dies leaves nothing that its resumption could take for its own.
    class Died(Exception):
        pass

    def dies(values: dict[str, Any]) -> None:
        if "stage" in values:
            raise Died

    assert list(tmp_path.glob(f"round_1/*/{LAST}"))
    with pytest.raises(Died):
        finetune_jointly(other, resume=False, report=dies, recording=unheard)
    assert not (tmp_path / "round_1" / LABELS).exists()
    assert not list(tmp_path.glob("round_1/*/model/README.md"))
    assert not list(tmp_path.glob(f"round_1/*/{LAST}"))


def test_a_plan_tells_the_minutes_of_both_runs_of_every_round(
    tmp_path: Path,
    pairs: Path,
    index: Path,
    tiny_bert: Path,
    first_reader: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*_: Any) -> float:
        time.sleep(1)
        return 0.5

    monkeypatch.setattr("ragqa.training.targets.reader.mean_f1", slow)
    values = described(tmp_path / "run", tiny_bert, first_reader, data=pairs, index=index, rounds=2)
    said: list[dict[str, Any]] = []
    plan_jointly(JointRun.model_validate(values), said.append)
    retriever, reader = [r for r in said if "in_each_round" in r]
    assert (retriever["in_each_round"], reader["in_each_round"]) == ("retriever", "reader")
    assert retriever["steps"] > 0
    validations = 2 * -(-reader["steps"] // 3)
    assert said[-1]["estimated_minutes"] >= round(validations / 60, 1) > 0
    assert not (tmp_path / "run").exists()


def test_a_plan_says_why_it_tells_no_minutes(tmp_path: Path, index: Path) -> None:
    path = tmp_path / "strange.jsonl"
    asked = [{"question": f"Who wrote book {n}?", "answers": [f"author {n}"]} for n in range(40)]
    path.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    said: list[dict[str, Any]] = []
    plan_jointly(JointRun(data=(path,), index=index, output=tmp_path / "run"), said.append)
    assert said[-1] == {"no_estimate": "words alone find the answers of 0 questions, and 20 are needed"}


@pytest.mark.slow
def test_rounds_go_on_from_each_other_and_labels_of_the_data_are_not_looked_at(
    tmp_path: Path, questions: Path, tiny_bert: Path, first_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled_by, honest = [], joint._label

    def watched(run: JointRun, pairs: Any, search: Any, *rest: Any) -> None:
        labelled_by.append(search.models)
        honest(run, pairs, search, *rest)

    monkeypatch.setattr(joint, "_label", watched)
    texts = [p["context"] for a in json.loads(questions.read_text())["data"] for p in a["paragraphs"]]
    said: list[dict[str, Any]] = []
    run = JointRun.model_validate(
        described(tmp_path, tiny_bert, first_reader, data=questions, rounds=2, test_questions=4)
    )
    finished = finetune_jointly(run, resume=False, report=said.append, recording=unheard)
    assert finished.comparison is not None
    assert finished.comparison.questions == 4
    assert said[0]["passages"] == len(set(texts))
    labels = [json.loads(line) for line in (tmp_path / "round_1" / LABELS).read_text().splitlines()]
    # "the forest" stands in several paragraphs: a file with the labels of the data would name one each.
    assert any(record["also"] for record in labels)
    begun = [
        json.loads((tmp_path / f"round_{n}" / part / "model" / "run.json").read_text())[key]
        for part, key in (("reader", "start_from"), ("retriever", "backbone"))
        for n in (1, 2)
    ]
    first, held_out = tmp_path / "round_1", set()
    for n in (1, 2):
        run_of = json.loads((tmp_path / f"round_{n}" / "reader" / "model" / "run.json").read_text())
        held_out.add(tuple(run_of["validation_documents"]))
    assert len(held_out) == 1
    assert begun == [
        str(first_reader),
        str(first / "reader" / "model"),
        str(tiny_bert),
        str(first / "retriever" / "model"),
    ]
    # The second round searches and reads with what the first one trained.
    assert [(one.encoder["model"], one.reader) for one in labelled_by] == [
        (str(tiny_bert), str(first_reader)),
        (str(first / "retriever" / "model"), str(first / "reader" / "model")),
    ]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"retriever": {"output": "x"}}, ConfigError, "retriever.output is decided by the joint run"),
        (
            {"retriever": {"hold_out": "questions"}},
            ConfigError,
            "retriever.hold_out is decided by the joint run",
        ),
        (
            {"reader": {"hard_negatves": 1}},
            ConfigError,
            "unknown setting reader.hard_negatves in .*joint.yaml; did you mean hard_negatives?",
        ),
        ({"reader": {"schedule": {"epochs": 0}}}, ConfigError, "reader.schedule.epochs = 0 in .*joint.yaml"),
        (
            {"retriever": {"both_sides": True, "tuning": "adapter"}},
            TrainingError,
            "adapter only adds",
        ),
        ({"test_questions": 30}, TrainingError, "6 questions with answers are left"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    change: dict[str, Any], error: type[Exception], says: str, tmp_path: Path, pairs: Path, index: Path
) -> None:
    import yaml

    path = tmp_path / "joint.yaml"
    values = {"data": str(pairs), "index": str(index), "output": str(tmp_path / "run"), **change}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(error, match=says):
        plan_jointly(load_run(path, JointRun), lambda _: None)


def test_a_model_inside_the_folder_of_the_run_is_refused(tmp_path: Path, pairs: Path, index: Path) -> None:
    inside = tmp_path / "run" / "round_2" / "reader" / "model"
    run = JointRun.model_validate(
        {"data": pairs, "index": index, "output": tmp_path / "run", "reader": {"start_from": str(inside)}}
    )
    with pytest.raises(TrainingError, match="lies in the folder that the run writes to"):
        plan_jointly(run, lambda _: None)


def test_places_in_an_index_are_no_documents(tmp_path: Path) -> None:
    asked = [
        {"question": f"Who is {n}?", "answers": [f"N{n}"], "document": "a.md", "start": n, "end": n + 2}
        for n in range(40)
    ]
    path = tmp_path / "located.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    with pytest.raises(TrainingError, match="no documents in which the answers could stand"):
        plan_jointly(JointRun(data=(path,), output=tmp_path), lambda _: None)


def test_a_question_that_comes_again_is_not_learned_and_tested(
    tmp_path: Path, pairs: Path, index: Path
) -> None:
    lines = pairs.read_text().splitlines()
    again = [json.loads(line) | {"question": json.loads(line)["question"].upper()} for line in lines]
    others = [json.loads(line) | {"answers": ["the other one"]} for line in lines]
    path = tmp_path / "often.jsonl"
    path.write_text("\n".join([*lines, *map(json.dumps, [*again, *others])]) + "\n", encoding="utf-8")
    run = JointRun.model_validate(
        {"data": path, "index": index, "output": tmp_path / "run", "test_questions": 6}
    )
    _, training, test = read(run, lambda _: None)
    assert len(test) == 6
    tested, learned = ({e.query.text.casefold() for e in part} for part in (test, training))
    assert not tested & learned
    assert len(training) == len({(e.query.text.casefold(), e.answers) for e in training})
    assert len(tested | learned) == 36


def test_of_several_answers_to_a_question_the_first_counts_and_the_others_are_told(
    tmp_path: Path, pairs: Path, index: Path
) -> None:
    lines = pairs.read_text().splitlines()
    asked = json.loads(lines[0])
    other = {"question": asked["question"].upper(), "answers": ["in Atlantis"]}
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join([*lines, json.dumps(other), lines[0]]) + "\n", encoding="utf-8")
    run = JointRun.model_validate(
        {"data": path, "index": index, "output": tmp_path / "run", "test_questions": 0}
    )
    said: list[dict[str, Any]] = []
    _, training, _ = read(run, said.append)
    same = [e for e in training if e.query.text.casefold() == asked["question"].casefold()]
    assert [e.answers for e in same] == [tuple(asked["answers"])]
    contradicts, repeats = [r["left out"] for r in said if "left out" in r]
    assert f"'in Atlantis', but question '{same[0].query.id}' asks the same and says " in contradicts
    assert f"asked before, as question '{same[0].query.id}'" in repeats


def test_rates_and_places_do_not_make_another_run_and_a_mining_configuration_does(
    tmp_path: Path, pairs: Path, index: Path
) -> None:
    def identity(**reader: Any) -> str:
        values = {"data": pairs, "index": index, "output": tmp_path / "run", "reader": reader}
        return _identity(JointRun.model_validate(values))

    config = tmp_path / "own.yaml"
    config.write_text("encoder: {name: hashing}\n", encoding="utf-8")
    mining = {"retriever": "hybrid", "config": str(config)}
    assert identity() == identity(schedule={"learning_rate": 1e-5}) != identity(hard_negatives=1)
    before = identity(mining=mining)
    config.write_text("encoder: {name: hashing, dimensions: 9}\n", encoding="utf-8")
    assert identity(mining=mining) != before


def test_a_run_may_write_to_the_folder_that_one_stands_in(
    tmp_path: Path, pairs: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = JointRun.model_validate({"data": pairs, "index": index, "output": Path()})
    said: list[dict[str, Any]] = []
    plan_jointly(run, said.append)
    assert said[0]["training_questions"] + said[0]["test_questions"] == 36
    assert not list(tmp_path.iterdir())


def test_questions_without_answers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text('{"question": "Who?", "passage": "Nobody.", "answers": []}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"none of the questions of .* has an answer"):
        plan_jointly(JointRun(data=(path,), output=tmp_path), lambda _: None)


def test_pairs_without_documents_are_refused(tmp_path: Path, pairs: Path) -> None:
    run = JointRun(data=(pairs,), output=tmp_path)
    with pytest.raises(TrainingError, match="no documents in which the answers could stand"):
        plan_jointly(run, lambda _: None)
    with pytest.raises(DataError, match="passage: Field required"):  # other targets need one
        data.read(pairs)
