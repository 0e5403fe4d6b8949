"""What a training run shows while it goes on: a bar in a terminal, and lines."""

import io
import re
import sys
from typing import Any

import pytest
from rich.file_proxy import FileProxy

from ragqa.cli.training_view import TrainingView

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """Keeps all that was written to it."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """Without colours and movements of the cursor; each state of the bar is a line, the last one below all."""
        return [
            line.strip() for line in re.split(r"[\r\n]+", _CODES.sub("", self.getvalue())) if line.strip()
        ]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def step(number: int, loss: float) -> dict[str, Any]:
    return {"step": number, "steps": 40, "loss": loss, "groups_per_second": 3.0, "minutes_left": 1.5}


@pytest.mark.parametrize("isatty", [FileProxy.isatty, lambda _: False], ids=["rich", "older rich"])
def test_a_terminal_has_a_bar_with_loss_and_score_below_the_lines(
    isatty: Any, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileProxy, "isatty", isatty)
    monkeypatch.setattr(sys, "stderr", terminal)
    view = TrainingView()
    view.show({"training_questions": 30, "test_questions": 6})
    assert terminal.getvalue() == "training questions 30  test questions 6\n"
    view.show(step(10, 0.75))
    assert "0.750  score –" in terminal.lines[-1]
    view.show({"step": 15, "validation": 0.7123})
    view.show(step(20, 0.5))
    view.show({"left out": "question 'x': its answer is not [there]"})
    view.show({"kept": "the weights [stay] as they were"})
    view.close()
    shown = terminal.lines
    assert "step 15  validation 0.7123" in shown
    assert "left out: question 'x': its answer is not [there]" in shown
    assert "kept the weights [stay] as they were" in shown
    assert re.search(r"20/40 loss 0\.500  score 71\.2", shown[-1])
    assert not any("groups per second" in line for line in shown)


def test_closing_leaves_the_terminal_as_it_was(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    out = sys.stdout
    view = TrainingView()
    view.show(step(10, 0.75))
    assert sys.stderr is not terminal
    view.close()
    assert sys.stderr is terminal
    assert sys.stdout is out
    hidden, shown = (terminal.getvalue().rfind(f"\x1b[?25{code}") for code in "lh")
    assert 0 <= hidden < shown
    view.show({"megabytes": 1.5})
    assert terminal.lines[-1] == "megabytes 1.5"
    view.close()


def test_elsewhere_every_report_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = TrainingView()
    for values in (step(10, 0.75), {"step": 15, "validation": 0.7123}):
        view.show(values)
    view.close()
    assert capsys.readouterr().err.splitlines() == [
        "step 10  steps 40  loss 0.75  groups per second 3.0  minutes left 1.5",
        "step 15  validation 0.7123",
    ]
