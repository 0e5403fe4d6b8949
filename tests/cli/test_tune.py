"""``ragqa tune``: curves, a gain on left-out questions, and a configuration that the index accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ragqa import made_questions

pytestmark = pytest.mark.usefixtures("few_counts")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_written_configuration_answers_from_the_same_index(
    ragqa: Any, town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = str(town / "index")
    lines = (town / "questions.jsonl").read_text(encoding="utf-8")
    gone = json.loads(lines.splitlines()[0]) | {"id": "gone", "document": "sold.md"}
    Path("asked.jsonl").write_text(lines + json.dumps(gone) + "\n", encoding="utf-8")
    done = ragqa(
        "tune", "--data", "asked.jsonl", "--index", index, "--max-risk", "0.3", "--output", "made/new.yaml"
    )
    assert done.code == 0, done.err
    assert "left out: question 'gone': the index does not hold its answer (sold.md)" in done.err
    printed = done.out.splitlines()
    assert printed[0] == "36 questions, 1 left out"
    for setting in (
        "fusion.dense_weight",
        "fusion.candidates",
        "top_k",
        "reader.retrieval_weight",
        "reader.threshold",
    ):
        (start,) = [n for n, line in enumerate(printed) if line.startswith(f"{setting}, ")]
        curve = printed[start : printed.index("", start)]
        assert sum("← " in line for line in curve) == 1
    assert any(line.startswith("  right verdicts, 36 left-out questions") for line in printed)
    assert any("questions answered" in line and line.startswith("  after: ") for line in printed)
    assert printed[-2:] == ["made/new.yaml", f'ragqa ask --config made/new.yaml --index {index} "…"']
    written = yaml.safe_load(Path("made/new.yaml").read_text(encoding="utf-8"))
    assert written["encoder"]["name"] == "hashing"
    assert 0 < written["reader"]["threshold"] <= 1
    answered = ragqa(
        "ask", "Who designed the Orchard Bridge?", "--config", "made/new.yaml", "--index", index, "--json"
    )
    assert answered.code in (0, 3), answered.err
    assert json.loads(answered.out)["hits"]
    few = ragqa("tune", "--index", index, "--output", "made/new.yaml")
    assert few.code == 1
    assert "24 questions could be made from the documents" in few.err
    assert "accepted: at least 100" in few.err
    monkeypatch.setattr(made_questions, "LEAST", 20)
    # A file that tune wrote may be replaced, another one not.
    as_json = ragqa("tune", "--index", index, "--output", "made/new.yaml", "--set", "top_k=7", "--json")
    assert as_json.code == 0, as_json.err
    found = json.loads(as_json.out)
    assert found["config"]["top_k"] == 7
    assert found["notes"][0] == "the questions are sentences of the documents, not real ones"
    assert [curve["setting"] for curve in found["curves"]] == ["fusion.dense_weight", "fusion.candidates"]


def test_a_mistake_is_one_line_before_any_work(ragqa: Any, town: Path) -> None:
    Path("mine.yaml").write_text("top_k: 3\n", encoding="utf-8")
    done = ragqa("tune", "--index", str(town / "index"), "--output", "mine.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "ragqa: --output mine.yaml is there already; accepted: a new YAML file, or one that ragqa tune wrote\n"
    )
    assert Path("mine.yaml").read_text(encoding="utf-8") == "top_k: 3\n"
    done = ragqa("tune", "--index", str(town / "index"), "--output", "mine.yaml/new.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "ragqa: the folder of --output mine.yaml/new.yaml cannot be made: File exists; "
        "accepted: a place for a file\n"
    )
    done = ragqa("tune", "--index", str(town / "index"), "--limit", "50")
    assert done.err == (
        "ragqa: --limit 50 leaves too few questions to cross-validate; accepted: 100 or more without --data\n"
    )
    done = ragqa("tune", "--index", str(town / "index"), "--limit", "19", "--data", "none.jsonl")
    assert (done.code, done.err.endswith("accepted: 20 or more\n")) == (2, True)
    done = ragqa("tune", "--data", "none.jsonl", "--index", str(town / "index"))
    assert done.code == 1
    assert done.err.startswith("ragqa: none.jsonl cannot be read")
    done = ragqa("tune", "--index", str(town / "index"), "--max-risk", "2", "--data", "none.jsonl")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert not Path("tuned.yaml").exists()
