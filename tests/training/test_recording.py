"""What a run leaves to look at holds what was reported, also when the run was cut and went on."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from ragqa.errors import TrainingError
from ragqa.training.recording import EVENTS, METRICS, PLOT, Recorder, curves, plot, recording


def record(folder: Path, reports: list[dict[str, Any]], *, resume: bool = False) -> None:
    with Recorder(folder, resume=resume) as recorder:
        for report in reports:
            recorder.record(report)


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Name, step and value of all events in ``folder``, as TensorBoard reads them.

    A file holds records of length (8 bytes), checksum (4), event and checksum (4). The start of a session makes void
    what earlier files tell of its step and of later ones.
    """
    found: list[tuple[str, int, float]] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        read, at = file.read_bytes(), 0
        while at < len(read):
            (length,) = struct.unpack_from("<Q", read, at)
            event = Event.FromString(read[at + 12 : at + 12 + length])
            at += 16 + length
            if event.HasField("session_log"):
                found = [one for one in found if one[1] < event.step]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def test_every_report_is_a_line_and_numbers_of_a_step_are_drawn(tmp_path: Path) -> None:
    record(
        tmp_path / "run",
        [
            {"training_questions": 3},
            {"validation_before": 0.2},
            {"step": 5, "steps": 10, "loss": 2.0, "groups_per_second": 3.0},
            {"step": 5, "validation": 0.25},
            {"step": 10, "steps": 10, "loss": 1.0, "groups_per_second": 3.0},
        ],
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [line.get("step") for line in lines] == [None, None, None, 5, 5, 10]
    assert all("time" in line for line in lines)
    assert curves(tmp_path / "run" / METRICS) == ([(5, 2.0), (10, 1.0)], [(0, 0.2), (5, 0.25)])
    with Image.open(tmp_path / "run" / PLOT) as picture:
        assert picture.size == (840, 600)
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10
    assert scalars(tmp_path / "run" / EVENTS / "001") == [
        ("loss", 5, 2.0),
        ("groups_per_second", 5, 3.0),
        ("validation", 5, 0.25),
        ("loss", 10, 1.0),
        ("groups_per_second", 10, 3.0),
    ]


def test_tensorboard_shows_each_beginning_apart_and_a_resumed_run_as_one_curve(tmp_path: Path) -> None:
    steps = [{"step": n, "loss": float(n)} for n in (5, 10, 15)]
    record(tmp_path, [{"step": 3, "loss": 9.0}])
    record(tmp_path, steps)
    record(tmp_path, [{"step": 10, "loss": 7.0}], resume=True)
    assert scalars(tmp_path / EVENTS / "001") == [("loss", 3, 9.0)]
    assert scalars(tmp_path / EVENTS / "002") == [("loss", 5, 5.0), ("loss", 10, 7.0)]


def test_a_resumed_run_goes_on_and_what_it_repeats_replaces_what_was_there(tmp_path: Path) -> None:
    steps = [{"step": n, "loss": float(n)} for n in (5, 10, 15)]
    record(tmp_path, [{"step": 3, "loss": 9.0}])
    record(tmp_path, steps)
    record(tmp_path, [{"step": 10, "loss": 7.0}, {"step": 10, "validation": 0.5}], resume=True)
    assert curves(tmp_path / METRICS) == ([(5, 5.0), (10, 7.0)], [(10, 0.5)])


def test_a_line_that_was_cut_tells_nothing(tmp_path: Path) -> None:
    record(tmp_path, [{"step": 5, "loss": 5.0}])
    with (tmp_path / METRICS).open("a", encoding="utf-8") as file:
        file.write('{"time": 1, "step": 10, "lo\n')
    record(tmp_path, [{"step": 15, "loss": 3.0}], resume=True)
    assert curves(tmp_path / METRICS) == ([(5, 5.0), (15, 3.0)], [])


def test_a_second_run_is_kept_out_of_a_folder(tmp_path: Path) -> None:
    of = recording(lambda _: None, resume=False)
    with of(tmp_path / "run") as report:
        report({"step": 1, "loss": 2.0})
        with (
            pytest.raises(TrainingError, match=r"another run trains in .*run; accepted: one at a time"),
            of(tmp_path / "run"),
        ):
            pass
        with of(tmp_path / "other"):
            pass
    assert curves(tmp_path / "run" / METRICS)[0] == [(1, 2.0)]  # the second has not begun there
    with of(tmp_path / "run"):
        pass


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    of = recording(lambda _: None, resume=False)
    with pytest.raises(TrainingError, match=r"file is a file; accepted: a folder"), of(tmp_path / "file"):
        pass


def test_a_run_without_a_step_has_no_picture(tmp_path: Path) -> None:
    record(tmp_path, [{"training_questions": 3}])
    assert plot(tmp_path) is None
    assert not (tmp_path / PLOT).exists()


def test_a_run_that_fails_keeps_what_it_reported(tmp_path: Path) -> None:
    def cut() -> None:
        with Recorder(tmp_path) as recorder:
            recorder.record({"step": 1, "loss": 1.0})
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cut()
    assert (tmp_path / PLOT).exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(TrainingError, match="file cannot be written"):
        Recorder(tmp_path / "file")
