"""`ragqa finetune` from a file of questions to a reader that answers, as a user meets it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ragqa.training.allocator import memory_named
from ragqa.training.trainer import Trainer

PLACES = ("harbour", "meadow", "desert", "valley", "island", "forest")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """36 questions about 12 documents, and a line that does not fit."""
    path = tmp_path / "questions.jsonl"
    records = [
        {
            "question": f"Where does heron {n} of pond {pond} live?",
            "passage": f"Heron {n} of pond {pond} lives in the {PLACES[(n + pond) % 6]} and eats fish.",
            "answers": [f"the {PLACES[(n + pond) % 6]}"],
            "document": f"pond {pond}",
        }
        for pond in range(12)
        for n in range(3)
    ]
    lines = [*map(json.dumps, records), json.dumps({**records[0], "answers": ["the moon"]})]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_dry_run_names_bad_lines_and_tells_the_plan(
    ragqa: Any, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ragqa("finetune", "reader", "--data", str(questions), "--dry-run")
    assert done.code == 0
    assert done.out == ""
    said = done.err.splitlines()
    assert said[0].startswith(
        f"left out: {questions} line 37: answer 'the moon' does not stand in the passage"
    )
    assert "training questions 30  validation questions 3  test questions 3" in said
    assert any("steps" in line and "estimated minutes" in line for line in said)
    assert not (tmp_path / "runs").exists()


def test_questions_that_a_target_cannot_learn_from_are_counted(
    ragqa: Any, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    optional = tmp_path / "optional.jsonl"
    records = [
        {
            "question": f"What do herons of pond {pond} eat?",
            "passage": f"The herons of pond {pond} eat fish.",
            "choices": ["fish", "bread"],
            "correct": "fish",
            "document": f"pond {pond}",
        }
        for pond in range(12)
    ]
    optional.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = ("--data", str(questions), "--data", str(optional))
    done = ragqa("finetune", "reader", *data, "--dry-run")
    assert "not learned 10 of 40: too long, or nothing to learn" in done.err.splitlines(), done.err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes\nmore"),
            "can't allocate",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "CUDA out of memory"),
        (MemoryError(), "the memory is too small"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--search", "2")])
def test_too_little_memory_is_one_line(
    ragqa: Any,
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    said: str,
    more: tuple[str, ...],
) -> None:
    def lacking(self: Trainer, batches: int = 4) -> float:
        raise fault

    monkeypatch.setattr(Trainer, "seconds_per_step", lacking)
    done = ragqa("finetune", "reader", "--data", str(questions), "--output", str(tmp_path / "run"), *more)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert said in last
    assert "accepted: a run that fits into memory; try: a smaller schedule.batch_groups" in last


def test_an_error_that_only_speaks_of_memory_is_no_lack_of_it() -> None:
    with pytest.raises(RuntimeError, match="share memory"), memory_named():
        raise RuntimeError("Some tensors share memory, this will lead to duplicate memory on disk")


def test_a_run_ends_with_a_table_and_a_reader_that_answers(
    ragqa: Any, questions: Path, tmp_path: Path
) -> None:
    schedule = {"epochs": 1, "batch_groups": 16, "learning_rate": 1e-5, "head_learning_rate": 1e-5}
    values = {"data": "replaced.jsonl", "start_from": "builtin", "hard_negatives": 0, "schedule": schedule}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    output = tmp_path / "my run"
    done = ragqa(
        "finetune", "reader", "--config", str(config), "--data", str(questions), "--output", str(output)
    )
    assert done.code == 0, done.err
    head, columns, f1, exact, path, command = done.out.splitlines()
    assert head == "3 test questions"
    assert columns.split()[:2] == ["before", "after"]
    assert f1.startswith("F1 ")
    assert exact.startswith("exact match ")
    assert path == f"{output}/model: use it with"
    assert shlex.split(command) == ["ragqa", "ask", "…", "--set", f"reader.model={output}/model"]
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert any("validation_before" in record for record in records)
    assert any("confidence" in record for record in records)

    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "note.md").write_text("Heron 7 of pond 3 lives in the harbour and eats fish.\n")
    index = str(tmp_path / "index")
    assert ragqa("index", str(documents), "--index", index, "--set", "encoder=hashing").code == 0
    answered = ragqa(
        "ask",
        "Where does heron 7 live?",
        "--index",
        index,
        "--set",
        f"reader.model={output}/model",
        "--set",
        "reader.threshold=0.0",
    )
    assert answered.code == 0, answered.err
    assert "harbour" in answered.out


def trained_parameters(done: Any) -> int:
    """What a dry run says it would train."""
    assert done.code == 0, done.err
    return int(re.search(r"trained parameters (\d+)", done.err)[1])  # type: ignore[index]


def test_freezing_and_tunings_of_the_command_line_train_less(ragqa: Any, questions: Path) -> None:
    def asked(*options: str) -> int:
        return trained_parameters(
            ragqa("finetune", "reader", "--data", str(questions), "--dry-run", *options)
        )

    whole, top, head = asked(), asked("--train-top", "1"), asked("--train-top", "0")
    assert whole > 5 * top > 5 * head > 0
    assert head < asked("--tuning", "bitfit") < asked("--tuning", "lora") < whole
    frozen = asked("--freeze", "embeddings,layers.0-4")
    assert frozen == top


def test_a_search_is_planned_and_a_retriever_says_what_becomes_of_the_index(
    ragqa: Any, questions: Path, tmp_path: Path
) -> None:
    data = ("--data", str(questions), "--output", str(tmp_path / "run"))
    planned = ragqa("finetune", "retriever", *data, "--search", "3", "--dry-run")
    assert planned.code == 0
    assert re.search(r"search 3  steps each \d+  estimated minutes", planned.err)
    config = tmp_path / "run.yaml"
    config.write_text("schedule: {epochs: 1, max_steps: 2}\n", encoding="utf-8")
    done = ragqa("finetune", "retriever", *data, "--both-sides", "--config", str(config))
    assert done.code == 0, done.err
    assert f"ragqa index PATH --reembed --set encoder.model={tmp_path}/run/model" in done.out
    again = ragqa("finetune", "retriever", *data, "--both-sides", "--config", str(config), "--resume")
    assert again.code == 0, again.err
    assert "goes on after step 2" in again.err


def test_tunings_are_compared_in_one_table(ragqa: Any, questions: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("hard_negatives: 0\nschedule: {epochs: 1, max_steps: 2}\n", encoding="utf-8")
    done = ragqa(
        "finetune",
        "compare",
        "--data",
        str(questions),
        "--config",
        str(config),
        "--output",
        str(tmp_path / "runs"),
        "--tunings",
        "full,bitfit",
    )
    assert done.code == 0, done.err
    head, columns, before, full, bitfit = done.out.splitlines()
    assert head == "3 test questions; memory and size in MB"
    assert columns.split() == ["F1", "exact", "match", "trained", "seconds", "memory", "size"]
    assert before.split()[0] == "before"
    assert (full.split()[0], bitfit.split()[0]) == ("full", "bitfit")
    assert float(bitfit.split()[-1]) < 1 < float(full.split()[-1])


def test_pretraining_and_joint_training_tell_what_they_would_do(
    ragqa: Any, questions: Path, tmp_path: Path
) -> None:
    documents = tmp_path / "docs"
    documents.mkdir()
    records = [json.loads(line) for line in questions.read_text().splitlines()[:36]]
    for number, record in enumerate(records):
        (documents / f"{number}.md").write_text(record["passage"], encoding="utf-8")
    planned = ragqa("pretrain", str(documents), "--dry-run", "--output", str(tmp_path / "run"))
    assert "training questions 33  validation questions 3" in planned.err
    assert trained_parameters(planned) > 10**7
    index, pairs = str(tmp_path / "index"), tmp_path / "pairs.jsonl"
    assert ragqa("index", str(documents), "--index", index, "--set", "encoder=hashing").code == 0
    asked = [{key: record[key] for key in ("question", "answers")} for record in records]
    pairs.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    joint = ragqa("finetune", "joint", "--data", str(pairs), "--index", index, "--rounds", "1", "--dry-run")
    assert joint.code == 0, joint.err
    assert "passages 36  training questions 33  test questions 3  rounds 1" in joint.err
    assert re.search(r"in each round retriever  epochs \d+  steps \d+ .*estimated minutes \d", joint.err)
    assert re.search(r"rounds 1  found by words 33  estimated minutes \d+\.\d$", joint.err)


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--output", "x")])
def test_without_data_the_command_says_what_it_needs(ragqa: Any, arguments: tuple[str, ...]) -> None:
    done = ragqa("finetune", "reader", *arguments)
    assert done.code == 2
    assert "--data QUESTIONS.jsonl" in done.err
    assert done.err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(ragqa: Any, tmp_path: Path) -> None:
    done = ragqa("finetune", "reader", "--data", str(tmp_path / "none.jsonl"), "--dry-run")
    assert done.code == 1
    assert "none.jsonl cannot be read: No such file or directory" in done.err
    assert done.err.count("\n") == 1


def test_a_setting_that_does_not_fit_is_one_line(ragqa: Any, questions: Path) -> None:
    done = ragqa("finetune", "retriever", "--data", str(questions), "--hold-out", "papers", "--dry-run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line == (
        "ragqa: hold_out = 'papers'; accepted: 'documents' or 'questions'; "
        "try: docs/training_settings.md lists each setting"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "schedule: {epoch: 3}",
            "unknown setting schedule.epoch in {path}; did you mean epochs?; accepted: ",
        ),
        ("tunning: lora", "unknown setting tunning in {path}; did you mean tuning?; accepted: data, "),
        ("validation_documents: 0", "validation_documents = 0 in {path}"),
        ("schedule: {epochs: many}", "schedule.epochs = 'many' in {path}; accepted: a valid integer"),
        ("freeze: embeddings", "freeze = 'embeddings' in {path}; accepted: a list"),
        ("", "{path} holds nothing; accepted: a YAML mapping of settings"),
        ("- reader", "{path} holds a list; accepted: a YAML mapping of settings"),
    ],
)
def test_a_setting_in_a_file_that_does_not_fit_is_named_with_its_section(
    ragqa: Any, questions: Path, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    done = ragqa("finetune", "reader", "--data", str(questions), "--config", str(path), "--dry-run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("ragqa: " + says.format(path=path))


def test_the_help_names_every_tuning() -> None:
    from ragqa import plugins
    from ragqa.cli.finetune_options import TUNINGS

    assert sorted(TUNINGS) == plugins.names("tuning")
