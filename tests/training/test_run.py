"""``finetune_reader`` from questions to a folder that answers, also after its process was killed."""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ragqa import __version__, checkpoints
from ragqa.errors import ConfigError, DataError, ModelError, TrainingError
from ragqa.models.span import load_span
from ragqa.pretrained import read_calibration, reader_folder
from ragqa.readers.extractive import ExtractiveReader
from ragqa.span_network import SpanNetwork
from ragqa.training.calibrating import SPAN_FEATURES
from ragqa.training.pace import Pace
from ragqa.training.recalibrating import calibrate_reader
from ragqa.training.run import finetune, plan, prepare
from ragqa.training.run_files import load_run
from ragqa.training.settings import ReaderRun
from ragqa.training.starting import initial
from ragqa.training.trainer import Trainer
from ragqa.types import Hit, Passage, Query

KILL_AT = 5


def described(folder: Path, bert: Path, questions: Path, **more: Any) -> Path:
    """A YAML file in ``folder`` for a run of twelve steps."""
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "dropout": 0.1,
        "validation_documents": 1,
        "test_documents": 1,
        "hard_negatives": 2,
        "schedule": {
            "epochs": 6,
            "batch_groups": 12,
            "learning_rate": 3e-3,
            "checkpoint_minutes": 1e-9,
            "validate_steps": 4,
        },
        **more,
    }
    path = folder / "reader.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    return []


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, questions: Path, reports: list[dict[str, Any]]
) -> Path:
    """The model folder of one uninterrupted run."""
    torch.set_num_threads(1)
    run = load_run(described(tmp_path_factory.mktemp("whole"), tiny_bert, questions), ReaderRun)
    return finetune(run, resume=False, report=reports.append).model


def test_a_run_reports_its_questions_its_steps_and_its_score(
    trained: Path, reports: list[dict[str, Any]]
) -> None:
    assert reports[0] == {"training_questions": 24, "validation_questions": 6, "test_questions": 6}
    scores = [r["validation"] for r in reports if "validation" in r]
    assert len(scores) == 3
    (best,) = [r["best_validation"] for r in reports if "best_validation" in r]
    assert max(scores) == pytest.approx(best, abs=1e-4)
    assert 0 <= best <= 1


def test_the_folder_holds_a_reader_that_loads(trained: Path, tiny_bert: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"config.json", "model.safetensors", "calibration.json", "run.json"} <= names
    model = load_span(trained)
    assert not model.training
    state = model.state_dict()
    for name, tensor in checkpoints.load(trained).items():
        assert torch.equal(state[name], tensor)
    best = checkpoints.load_tensors(trained.parent / "best.safetensors")
    for name, tensor in best.items():
        step = tensor.abs().amax(-1, keepdim=True) / 127
        assert ((state[name] - tensor).abs() <= step / 2 + 1e-7).all(), name
    settings = json.loads((trained / "run.json").read_text())
    assert ReaderRun(**settings).backbone == str(tiny_bert)
    assert settings == json.loads((trained.parent / "run.json").read_text())
    calibration = read_calibration(trained)
    assert set(calibration.span.weights) == set(SPAN_FEATURES)
    # Without questions in Chinese the shipped calibration of lexical answers stays.
    assert calibration.lexical == read_calibration(reader_folder("builtin")).lexical


def test_the_trained_reader_cites_its_passages(trained: Path) -> None:
    text = "The walrus of group 1 lives in the harbour. It was seen 4 times in 1901."
    hits = [Hit(Passage("notes", 100, 100 + len(text), text, "Walrus"), 0.9, {"dense": 0.8, "bm25": 3.0})]
    reader = ExtractiveReader(model=str(trained), threshold=0.0)
    (answer,) = reader.read([Query("Where does the walrus of group 1 live?")], [hits])
    (citation,) = answer.citations
    assert answer.text == citation.quote == text[citation.start - 100 : citation.end - 100]
    assert answer.text in answer.sentence
    assert 0 <= answer.confidence <= 1


def test_a_killed_run_goes_on_to_the_same_weights(
    trained: Path,
    tmp_path: Path,
    tiny_bert: Path,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: Callable[[Path, str, int], None],
) -> None:
    path = described(tmp_path, tiny_bert, questions)
    kill_at(path, "reader", KILL_AT)
    monkeypatch.setattr("ragqa.training.targets.reader.fit_calibration", lambda *_: None)
    torch.set_num_threads(1)
    steps: list[int] = []
    folder = finetune(
        load_run(path, ReaderRun),
        resume=True,
        report=lambda values: steps.append(values.get("step", KILL_AT + 1)),
    ).model
    assert min(steps) > KILL_AT
    for name in ("run/last.safetensors", "run/best.safetensors", "run/model/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained.parents[1] / name).read_bytes(), name
    assert folder == tmp_path / "run" / "model"


def test_a_run_goes_on_from_a_reader_and_keeps_what_it_freezes(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragqa.training.targets.reader.fit_calibration", lambda *_: None)
    torch.set_num_threads(1)
    values: dict[str, Any] = {"start_from": str(trained), "freeze": ["encoder."], "storage": "float32"}
    said: list[dict[str, Any]] = []
    run = load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)
    folder = finetune(run, resume=False, report=said.append).model

    before, after = load_span(trained).state_dict(), load_span(folder).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    heads = {"head.weight", "head.bias"}
    assert moved <= heads
    trained_last = load_file(folder.parent / "last.safetensors")
    assert {name.removeprefix("weight/") for name in trained_last if name.startswith("weight/")} == heads
    (score,) = [r["validation_before"] for r in said if "validation_before" in r]
    assert score == pytest.approx(
        json.loads((trained / "config.json").read_text())["best_validation_f1"], abs=0.05
    )


def test_training_that_makes_a_reader_worse_leaves_it_as_it_was(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    rates = {"learning_rate": 5.0, "head_learning_rate": 5.0}
    schedule = {"epochs": 2, "batch_groups": 12, "validate_steps": 1000, **rates}
    values: dict[str, Any] = {"start_from": str(trained), "storage": "float32", "schedule": schedule}
    said: list[dict[str, Any]] = []
    run = load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)
    finished = finetune(run, resume=False, report=said.append)
    assert [r for r in said if "kept" in r]
    assert finished.comparison is not None
    assert finished.comparison.measures["F1"].difference.mean == 0
    before, after = load_span(trained).state_dict(), load_span(finished.model).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_reader_of_another_backbone_is_refused_before_any_training(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, start_from="builtin"), ReaderRun)
    with pytest.raises(TrainingError, match=r"the model builtin stands on .*, not on .*tiny-bert"):
        finetune(run, resume=False, report=lambda _: None)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"learning_rat": 1}, "learning_rat"),
        ({"schedule": {"epochs": 0}}, "schedule.epochs"),
        ({"storage": "int4"}, "storage"),
        ({"freeze": 3}, "freeze"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    tmp_path: Path, tiny_bert: Path, questions: Path, values: dict[str, Any], found: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)
    assert found in caught.value.found
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_together_is_told_without_all_the_rest(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    values: dict[str, Any] = {"layers": 1, "tuning": "lora"}
    with pytest.raises(ConfigError, match=r"^layers is for tuning full, not for lora: .* in .*reader.yaml"):
        load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)


@pytest.mark.parametrize("text", ["", "[", "- 1", b"\xff\xff"])
def test_a_file_that_describes_no_run_is_named(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_run(path, ReaderRun)


def test_too_few_documents_are_refused_before_any_training(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, validation_documents=5), ReaderRun)
    with pytest.raises(TrainingError, match="6 documents, of which 6"):
        finetune(run, resume=False, report=lambda _: None)


def test_the_test_part_compares_the_reader_with_the_one_before(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    values: dict[str, Any] = {"start_from": str(trained), "storage": "float32"}
    finished = finetune(
        load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun),
        resume=False,
        report=lambda _: None,
    )
    comparison = finished.comparison
    assert comparison is not None
    assert comparison.questions == 6
    for measured in comparison.measures.values():
        assert measured.difference.mean == pytest.approx(measured.after - measured.before)
        assert measured.difference.low <= measured.difference.mean <= measured.difference.high
    card = (finished.model / "README.md").read_text()
    assert f"| made | {date.today().isoformat()}, ragqa {__version__} |" in card
    assert "6 test questions" in card
    assert f"{100 * comparison.measures['F1'].after:.1f}" in card


def test_a_plan_tells_steps_and_minutes_and_trains_nothing(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    said: list[dict[str, Any]] = []
    plan(load_run(described(tmp_path, tiny_bert, questions), ReaderRun), said.append)
    (planned,) = [r for r in said if "estimated_minutes" in r]
    assert planned["steps"] == 12
    assert planned["estimated_minutes"] >= 0
    assert not list((tmp_path / "run").glob("*"))


def test_the_minutes_of_a_run_hold_its_validations_and_the_comparison(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    prepared = prepare(load_run(described(tmp_path, tiny_bert, questions), ReaderRun), lambda _: None)
    # Twelve steps; after 4, 8 and 12 a validation; the test part has as many questions, which both readers answer.
    assert prepared.minutes(Pace(0.0, 60.0, 0.5)) == pytest.approx(3 + 2)
    assert prepared.minutes(Pace(60.0, 0.0, 0.5)) == pytest.approx(12)


def test_the_confidence_is_fitted_where_there_are_questions_enough(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, validation_documents=2), ReaderRun)
    assert read_calibration(trained) == read_calibration(reader_folder("builtin"))
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    monkeypatch.setattr("ragqa.training.targets.reader.LEAST_TO_CALIBRATE", 10)
    calibrate_reader(run, folder, lambda _: None)
    fitted = read_calibration(folder)
    assert fitted.span != read_calibration(trained).span
    assert set(fitted.span.weights) == set(SPAN_FEATURES)
    assert fitted.lexical == read_calibration(trained).lexical


def test_a_confidence_that_cannot_be_fitted_stays_as_it_was(
    trained: Path, tiny_bert: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, validation_documents=3), ReaderRun)
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    stored = folder / "calibration.json"
    own = stored.read_text().replace('"retrieval_weight": ', '"retrieval_weight": 1')
    stored.write_text(own)
    with pytest.raises(TrainingError, match=r"18 answerable validation questions are too few.*100 or more"):
        calibrate_reader(run, folder, lambda _: None)
    assert stored.read_text() == own

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ragqa.training.targets.reader.LEAST_TO_CALIBRATE", 10)
    monkeypatch.setattr(SpanNetwork, "readings", cut)
    with pytest.raises(KeyboardInterrupt):
        calibrate_reader(run, folder, lambda _: None)
    assert stored.read_text() == own
    with pytest.raises(TrainingError, match="the reader builtin belongs to this version of ragqa"):
        calibrate_reader(run, Path("builtin"), lambda _: None)


def test_a_run_goes_on_from_the_shipped_reader_unless_a_backbone_or_null_is_given(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    for text, start in (
        ("validation_questions: 9", "builtin"),
        ("start_from: null", None),
        ("backbone: somewhere", None),
        ("start_from: mine", "mine"),
    ):
        path.write_text(f"data: questions.jsonl\n{text}\n", encoding="utf-8")
        assert load_run(path, ReaderRun).start_from == start


def test_an_encoder_without_heads_is_no_reader(tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks weights .* qa_outputs"):
        load_span(tiny_bert)


def test_a_file_in_the_place_of_the_folder_is_one_line(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions), ReaderRun)
    run.output.write_text("", encoding="utf-8")
    inside = run.model_copy(update={"output": run.output / "below"})
    for one in (run, inside):
        with pytest.raises(TrainingError, match="run is a file; accepted: a folder; try: --output"):
            plan(one, lambda _: None)
        with pytest.raises(TrainingError, match="run is a file; accepted: a folder; try: --output"):
            finetune(one, resume=False, report=lambda _: None)


def test_a_schedule_follows_the_number_of_questions() -> None:
    data = Path("questions.jsonl")
    few = ReaderRun(data=data, start_from="builtin").default_schedule(200, rate=1.0)
    many = ReaderRun(data=data, start_from=None).default_schedule(90_000, rate=1.0)
    assert few.epochs > many.epochs
    assert few.batch_groups < many.batch_groups
    assert few.learning_rate < many.learning_rate
    assert few.head_learning_rate == few.learning_rate
    assert few.validate_steps is None  # once an epoch


def test_a_checkpoint_of_other_data_or_settings_is_refused(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    shutil.copytree(trained.parent, tmp_path / "run")
    for values, named in (
        ({"hard_negatives": 3}, "other settings: hard_negatives 2 there, 3 here;"),
        (
            {"freeze": ["encoder."]},
            r"other settings: freeze by default there, \['encoder.'\] here;",
        ),
    ):
        run = load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)
        with pytest.raises(TrainingError, match=f"was made with {named}"):
            finetune(run, resume=True, report=lambda _: None)
    other = tmp_path / "other.json"
    other.write_text(questions.read_text(encoding="utf-8").replace("harbour", "Harbour"), encoding="utf-8")
    run = load_run(described(tmp_path, tiny_bert, other), ReaderRun)
    with pytest.raises(TrainingError, match="was made with other data;"):
        finetune(run, resume=True, report=lambda _: None)


def test_a_checkpoint_of_another_base_in_the_same_folder_is_refused(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    bert = tmp_path / "bert"
    shutil.copytree(tiny_bert, bert)
    run = load_run(described(tmp_path, bert, questions), ReaderRun)
    finetune(run, resume=False, report=lambda _: None)
    finetune(run, resume=True, report=lambda _: None)
    weights = load_file(bert / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in weights.items()}, bert / "model.safetensors")
    with pytest.raises(TrainingError, match="was made with other models;"):
        finetune(run, resume=True, report=lambda _: None)


def test_a_run_that_begins_anew_leaves_no_checkpoint_of_an_earlier_one(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained.parent, tmp_path / "run")
    run = load_run(described(tmp_path, tiny_bert, questions), ReaderRun)

    def cut(*_: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("ragqa.training.trainer.Trainer._update", cut)
    with pytest.raises(KeyboardInterrupt):
        finetune(run, resume=False, report=lambda _: None)
    assert not (tmp_path / "run" / "last.safetensors").exists()
    assert not (tmp_path / "run" / "unfinished").exists()  # the earlier one had come to its end
    assert (tmp_path / "run" / "model" / "README.md").is_file()


def test_a_run_that_begins_anew_keeps_what_a_cut_one_had_learned_and_the_model_before(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(described(tmp_path, tiny_bert, questions, schedule={"epochs": 3}), ReaderRun)
    shutil.copytree(trained, run.output / "model")
    update = Trainer._update

    def cut(trainer: Trainer, *given: Any) -> float:
        if trainer.step == 2:
            raise KeyboardInterrupt
        return update(trainer, *given)

    monkeypatch.setattr(Trainer, "_update", cut)
    with pytest.raises(KeyboardInterrupt):
        finetune(run, resume=False, report=lambda _: None)
    left = (run.output / "last.safetensors").read_bytes()
    cut_settings = json.loads((run.output / "run.json").read_text())
    assert (
        cut_settings["schedule"]["batch_groups"] > 0
    )  # what the file leaves open is decided before the first step
    monkeypatch.setattr(Trainer, "_update", update)
    said: list[dict[str, Any]] = []
    finetune(run, resume=False, report=said.append)
    assert (run.output / "unfinished" / "last.safetensors").read_bytes() == left
    assert json.loads((run.output / "unfinished" / "run.json").read_text()) == cut_settings
    (told,) = [values["set aside"] for values in said if "set aside" in values]
    assert "cut after step 2" in told
    for name in ("README.md", "model.safetensors"):
        assert (run.output / "model.before" / name).read_bytes() == (trained / name).read_bytes()
        assert (run.output / "model" / name).read_bytes() != (trained / name).read_bytes()
    # Moved back, it goes on; another one that is cut finds a place of its own.
    (run.output / "last.safetensors").unlink()
    monkeypatch.setattr(Trainer, "_update", cut)
    with pytest.raises(KeyboardInterrupt):
        finetune(run, resume=True, report=said.append)
    assert any("no checkpoint here, but one in" in values.get("goes_on", "") for values in said)
    monkeypatch.setattr(Trainer, "_update", update)
    finetune(run, resume=False, report=lambda _: None)
    assert (run.output / "unfinished1" / "last.safetensors").is_file()
    assert (run.output / "unfinished" / "last.safetensors").read_bytes() == left


def test_a_comparison_that_fails_leaves_the_trained_model(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ragqa.training.targets.reader._compare", failing)
    run = load_run(described(tmp_path, tiny_bert, questions, schedule={"epochs": 1}), ReaderRun)
    with pytest.raises(KeyboardInterrupt):
        finetune(run, resume=False, report=lambda _: None)
    load_span(run.output / "model")
    monkeypatch.undo()
    finished = finetune(run, resume=True, report=lambda _: None)
    assert finished.comparison is not None
    assert (run.output / "model" / "README.md").is_file()


def test_a_model_that_stands_where_the_one_before_will_be_is_not_lost(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    before = tmp_path / "run" / "model.before"
    shutil.copytree(trained, before)
    run = load_run(described(tmp_path, tiny_bert, questions, start_from=str(before)), ReaderRun)
    with pytest.raises(TrainingError, match="would be overwritten by what is made from it"):
        plan(run, lambda _: None)


def test_a_confidence_is_fitted_on_what_the_model_was_not_trained_on(
    trained: Path, tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "ragqa.training.recalibrating.reader.fit_calibration", lambda run, *_: seen.append(run)
    )
    values = json.loads((trained / "run.json").read_text())
    values |= {"hold_out": "questions", "split_seed": 5, "validation_documents": 7}
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    (model / "run.json").write_text(json.dumps(values))
    calibrate_reader(ReaderRun(data=(questions,)), model, lambda _: None)
    calibrate_reader(ReaderRun(data=(questions,), split_seed=6), model, lambda _: None)
    shutil.copy(questions, tmp_path / "others.json")
    calibrate_reader(ReaderRun(data=(tmp_path / "others.json",)), model, lambda _: None)
    assert [(r.hold_out, r.split_seed, r.validation_documents) for r in seen] == [
        ("questions", 5, 7),
        ("questions", 6, 7),
        ("documents", 13, None),
    ]


def test_a_full_disk_is_one_line_and_leaves_no_half_file(
    trained: Path, tiny_bert: Path, questions: Path, tmp_path: Path
) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    path = described(tmp_path, tiny_bert, questions)
    there = tmp_path / "run" / "model"
    shutil.copytree(trained, there)
    command = [sys.executable, "-m", "ragqa", "finetune", "reader", "--config", str(path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert child.returncode == 1
    assert "Traceback" not in child.stderr
    said = child.stderr.strip().splitlines()[-1]
    assert re.match(
        r"ragqa: .*/run cannot be written: .*File too large.* free; accepted: a disk with room", said
    )
    assert not list((tmp_path / "run").rglob("*.partial"))
    assert all((there / file.name).read_bytes() == file.read_bytes() for file in trained.glob("*.*"))


def test_a_model_is_not_overwritten_by_what_is_made_from_it(
    trained: Path, tiny_bert: Path, questions: Path, tmp_path: Path
) -> None:
    output = str(trained.parent)
    values: dict[str, Any] = {"start_from": str(trained), "output": output}
    run = load_run(described(tmp_path, tiny_bert, questions, **values), ReaderRun)
    with pytest.raises(TrainingError, match="would be overwritten by what is made from it"):
        plan(run, lambda _: None)


def test_questions_with_options_beside_answered_ones_do_no_harm(tmp_path: Path, tiny_bert: Path) -> None:
    records: list[dict[str, Any]] = [
        {
            "question": f"Where does heron {n} live?",
            "passage": f"Heron {n} lives in the {'harbour' if n % 2 else 'forest'}.",
            "answers": ["the harbour" if n % 2 else "the forest"],
        }
        for n in range(40)
    ]
    passage = {"passage": "A heron lives in the harbour.", "document": "exam"}
    records.append({"question": "Which?", "choices": ["a", "b"], "correct": "a"})
    records.append({"question": "Where?", "choices": ["harbour", "sea"], "correct": "harbour", **passage})
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    few = {"epochs": 1, "batch_groups": 12}
    run = load_run(described(tmp_path, tiny_bert, path, schedule=few, hard_negatives=0), ReaderRun)
    said: list[dict[str, Any]] = []
    assert finetune(run, resume=False, report=said.append).model.is_dir()
    assert any(r.get("not_learned", "").startswith("2 of ") for r in said), said


def test_what_is_drawn_for_a_tuning_depends_on_the_seed_alone(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making a model ready for this machine, which happens once, draws weights as well."""
    run = load_run(described(tmp_path, tiny_bert, questions, tuning="lora"), ReaderRun)

    def drawn() -> dict[str, torch.Tensor]:
        model = prepare(run, lambda _: None).task.model
        return {n: p.detach().clone() for n, p in model.named_parameters() if "lora_A" in n}

    first = drawn()

    def drawing(*asked: Any, **more: Any) -> Any:
        torch.randn(7)
        return initial(*asked, **more)

    monkeypatch.setattr("ragqa.training.targets.reader.initial", drawing)
    second = drawn()
    assert first
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_fresh_head_is_not_frozen(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    """Nobody would store it, and the model would be served with another one."""
    run = load_run(described(tmp_path, tiny_bert, questions, start_from=None, freeze=["head"]), ReaderRun)
    with pytest.raises(TrainingError, match=r"freeze: head\.\w+ belongs to a head that begins fresh"):
        plan(run, lambda _: None)


def test_what_a_schedule_does_not_give_goes_by_size(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    run = load_run(
        described(tmp_path, tiny_bert, questions, schedule={"epochs": 1}, tuning="bitfit"), ReaderRun
    )
    given, by_size = prepare(run, lambda _: None), prepare(run.changed(schedule=None), lambda _: None)
    assert given.schedule == by_size.schedule.model_copy(update={"epochs": 1})
    assert given.schedule.patience is not None
    assert (
        given.schedule.learning_rate != ReaderRun.model_validate(run).default_schedule(30, 1.0).learning_rate
    )
    path = described(tmp_path, tiny_bert, questions, schedule={"patience": None, "validate_steps": 7})
    own = prepare(load_run(path, ReaderRun), lambda _: None).schedule
    assert (own.patience, own.validate_steps, own.epochs) == (None, 7, by_size.schedule.epochs)


def test_questions_that_are_needed_at_the_end_are_missed_at_the_beginning(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    path = described(tmp_path, tiny_bert, questions, lexical_data=str(tmp_path / "cmrc.json"))
    with pytest.raises(DataError, match=r"lexical_data: .*cmrc.json is not there; .*try: leave it out"):
        plan(load_run(path, ReaderRun), lambda _: None)


def test_a_run_takes_no_more_threads_than_the_process_may_use(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    monkeypatch.setenv("RAGQA_THREADS", "1")
    plan(load_run(described(tmp_path, tiny_bert, questions), ReaderRun), lambda _: None)
    assert torch.get_num_threads() == 1
