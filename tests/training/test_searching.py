"""The search tries rates around the usual one and hands on the best."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ragqa.errors import TrainingError
from ragqa.training import searching
from ragqa.training.run import Prepared, finetune, prepare
from ragqa.training.run_folder import CHOSEN, LAST, alone
from ragqa.training.schedule import Schedule
from ragqa.training.searching import Tried, plan_search, rates, search, settled, table
from ragqa.training.settings import ReaderRun, Run


def run_of(folder: Path, bert: Path, questions: Path) -> ReaderRun:
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "validation_documents": 1,
        "test_documents": 0,
        "hard_negatives": 0,
        "schedule": {"epochs": 30, "batch_groups": 12, "learning_rate": 1e-3, "head_learning_rate": 4e-3},
    }
    return ReaderRun.model_validate(values)


def test_rates_rise_around_the_usual_one() -> None:
    assert rates(1e-4, 3) == pytest.approx([2.5e-5, 1e-4, 4e-4])
    assert rates(1e-4, 2) == pytest.approx([2.5e-5, 1e-4])
    assert rates(1e-4, 4) == pytest.approx([2.5e-5, 5e-5, 1e-4, 2e-4])


def test_what_a_search_would_take_is_told_without_training(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run, said = run_of(tmp_path, tiny_bert, questions), list[dict[str, Any]]()
    plan_search(run, 3, said.append)
    whole, tries = said[-2:]
    assert (tries["search"], tries["steps_each"]) == (3, searching.STEPS[0])
    assert tries["estimated_minutes"] == pytest.approx(
        whole["estimated_minutes"] * 3 * searching.STEPS[0] / whole["steps"], abs=0.2
    )
    assert not run.output.exists()
    with pytest.raises(TrainingError, match="--search 1"):
        plan_search(run, 1, said.append)


def test_the_best_of_the_tries_is_taken_and_the_rest_of_the_run_stays(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    run = run_of(tmp_path, tiny_bert, questions)
    said: list[dict[str, Any]] = []
    prepared: list[Run] = []

    def counted(run: Run, *more: Any) -> Prepared:
        prepared.append(run)
        return prepare(run, *more)

    monkeypatch.setattr(searching, "prepare", counted)
    found, tried = search(run, 3, said.append)
    assert len(prepared) == 1  # reading, mining and encoding are done once for all tries
    assert [one.learning_rate for one in tried] == pytest.approx([2.5e-4, 1e-3, 4e-3])
    assert [one.head_learning_rate for one in tried] == pytest.approx([1e-3, 4e-3, 1.6e-2])
    assert {one.steps for one in tried} == {searching.STEPS[0]}
    best = max(tried, key=lambda one: one.score)
    assert found.schedule is not None
    assert found.schedule.learning_rate == best.learning_rate
    assert found.schedule.max_steps is None
    assert found.model_copy(update={"schedule": run.schedule}) == run
    assert [r["search"] for r in said if "search" in r] == [1, 2, 3]
    again, _ = search(run, 3, lambda _: None)
    assert again == found
    assert [path.name for path in (run.output / "search").iterdir()] == [Path(CHOSEN).name]

    # A try is as the beginning of a run would be, whatever was tried before it.
    one = tried[2]
    rates_of = {"learning_rate": one.learning_rate, "head_learning_rate": one.head_learning_rate}
    assert run.schedule is not None
    schedule = run.schedule.model_copy(
        update={**rates_of, "max_steps": one.steps, "validate_steps": one.steps, "patience": None}
    )
    alone = prepare(
        run.model_copy(update={"schedule": schedule, "output": tmp_path / "alone"}), lambda _: None
    )
    assert alone.trainer.train(resume=False) == one.score


def test_a_resumed_run_goes_on_with_what_was_chosen_and_a_new_one_forgets_it(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = run_of(tmp_path, tiny_bert, questions)
    quiet: list[Any] = []
    found, tried = settled(run, 2, quiet.append, resume=False)
    assert len(tried) == 2
    assert settled(run, 2, quiet.append, resume=True) == (found, [])
    assert settled(run, None, quiet.append, resume=True) == (found, [])
    # Rates that are given take its place only where it led to a loss that was no number.
    slower = run.model_copy(update={"schedule": Schedule(learning_rate=1e-5)})
    assert settled(slower, None, quiet.append, resume=True) == (
        slower.model_copy(update={"schedule": found.schedule}),
        [],
    )
    prepared = prepare(found, quiet.append)
    prepared.trainer._diverged = True
    prepared.trainer._save()
    gone_on, _ = settled(slower, None, quiet.append, resume=True)
    assert found.schedule is not None
    assert gone_on.schedule is not None
    assert gone_on.schedule == found.schedule.model_copy(update={"learning_rate": 1e-5})
    # Once it has gone on with lower rates these are its own, also when it is cut again.
    finetune(gone_on, resume=True, report=quiet.append)
    assert settled(slower, None, quiet.append, resume=True) == (gone_on, [])
    # What may change at any time may change in a searched run, too.
    rarer = slower.model_copy(update={"schedule": Schedule(checkpoint_minutes=60.0)})
    again, _ = settled(rarer, None, quiet.append, resume=True)
    assert again.schedule == gone_on.schedule.model_copy(update={"checkpoint_minutes": 60.0})
    # Only a run that begins forgets it, not one that is refused before.
    (run.output / LAST).write_bytes(b"kept")
    refused = run.model_copy(update={"validation_documents": 99})
    with pytest.raises(TrainingError):
        finetune(refused, resume=False, report=quiet.append)
    with pytest.raises(TrainingError):
        settled(refused, 2, quiet.append, resume=False)
    assert (run.output / LAST).read_bytes() == b"kept"
    kept, _ = settled(run, None, quiet.append, resume=True)
    assert kept.schedule is not None
    assert kept.schedule.learning_rate == 1e-5
    few = run.model_copy(update={"schedule": Schedule(max_steps=2)})
    finetune(few, resume=False, report=quiet.append)
    assert settled(few, None, quiet.append, resume=True) == (few, [])


def test_a_search_that_was_cut_is_made_again_and_a_run_that_has_begun_is_not_searched(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = run_of(tmp_path, tiny_bert, questions)
    _, tried = settled(run, 2, lambda _: None, resume=True)
    assert len(tried) == 2
    (run.output / CHOSEN).unlink()
    (run.output / LAST).write_bytes(b"")
    assert settled(run, 2, lambda _: None, resume=True) == (run, [])


def test_a_rate_that_ends_in_no_number_is_not_taken(
    tmp_path: Path, tiny_bert: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(searching, "rates", lambda usual, tries: [usual, float("inf")])
    found, tried = search(run_of(tmp_path, tiny_bert, questions), 2, lambda _: None)
    assert tried[1].score == float("-inf")
    assert found.schedule is not None
    assert found.schedule.learning_rate == 1e-3
    assert table(tried, "F1")[2].endswith("no number")


def test_a_folder_in_which_a_run_trains_is_not_searched_in(
    tmp_path: Path, tiny_bert: Path, questions: Path
) -> None:
    run = run_of(tmp_path, tiny_bert, questions)
    with alone(run.output), pytest.raises(TrainingError, match="another run trains in"):
        search(run, 2, lambda _: None)


def test_one_setting_is_no_search(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    with pytest.raises(TrainingError, match="--search 1; accepted: 2 or more"):
        search(run_of(tmp_path, tiny_bert, questions), 1, lambda _: None)


def test_the_table_marks_what_was_taken() -> None:
    lines = table([Tried(1e-4, 1e-3, 20, 0.5), Tried(2e-4, 2e-3, 20, 0.75)], "F1")
    assert [line.endswith("taken") for line in lines] == [False, False, True]
    assert "75.00" in lines[2]
