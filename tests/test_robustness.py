"""Questions changed and passages that mislead, asked of a real index with a reader whose weakness is known."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ragqa.config import Config
from ragqa.errors import DataError, UsageError
from ragqa.evaluation.perturbing import DECOY, DECOY_ZH
from ragqa.indexing import build_index
from ragqa.pipeline import Pipeline, load_pipeline
from ragqa.robustness import AS_ASKED, CONDITIONS, probe
from ragqa.types import Answer, Citation, Hit, Query

BRIDGE = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
APPLE = "苹果树在四月开花。果实在九月成熟。"
QUESTIONS: list[dict[str, Any]] = [
    {
        "question": "Who designed the Orchard Bridge?",
        "answers": ["Maria Keller"],
        "document": "docs/bridge.md",
    },
    {"question": "when did the bridge open?", "answers": ["1931"], "document": "docs/bridge.md"},
    {"question": "苹果树在几月开花？", "answers": ["四月"], "document": "docs/apple.md"},
    {"question": "What is the melting point of tungsten?", "answers": [], "document": None},
]


class Obedient:
    """Answers what stands in the first hit: a decoy where there is one, else the gold answer for a question that it
    knows word for word; refuses the others."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known
        self.read_: list[Hit] = []

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        return [self._answer(query, mine) for query, mine in zip(queries, hits, strict=True)]

    def _answer(self, query: Query, hits: Sequence[Hit]) -> Answer:
        self.read_ += hits
        for wanted in (DECOY, DECOY_ZH, self.known.get(query.text, "nowhere")):
            for passage in (hit.passage for hit in hits):
                at = passage.text.find(wanted)
                if at >= 0:
                    start = passage.start + at
                    quote = Citation(passage.doc_id, start, start + len(wanted), wanted)
                    return Answer(wanted, 0.9, (quote,), tuple(hits))
        return Answer(None, 0.1, (), tuple(hits))


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bridge.md").write_text(BRIDGE, encoding="utf-8")
    (tmp_path / "docs" / "apple.md").write_text(APPLE, encoding="utf-8")
    build_index([tmp_path / "docs"], tmp_path / "index", Config.from_values({"encoder": "hashing"}))
    with load_pipeline(tmp_path / "index") as opened:
        opened._reader = Obedient({q["question"]: (q["answers"] or ["nowhere"])[0] for q in QUESTIONS})
        yield opened


def asked(folder: Path) -> Path:
    records = [{**q, "quote": next(iter(q["answers"]), None)} for q in QUESTIONS]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def test_each_condition_counts_what_it_changes_and_what_that_costs(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    found = probe(pipeline, asked(tmp_path), tmp_path / "out", on_bad=lambda fault: pytest.fail(str(fault)))
    assert list(found) == [AS_ASKED, *CONDITIONS]
    assert found[AS_ASKED]["F1"]["after"] == found[AS_ASKED]["right"] == 1.0
    # The reader knows no question in other words: it refuses, which is right only where nothing answers.
    assert [found[name]["questions"] for name in ("typos", "lower case", "paraphrase")] == [3, 2, 4]
    for name in ("typos", "lower case", "paraphrase"):
        assert (found[name]["F1"]["before"], found[name]["F1"]["after"], found[name]["refused"]) == (1, 0, 1)
        assert found[name]["misled"] == 0
    assert found["paraphrase"]["right"] == 0.25
    for name in ("distractor", "planted answer", "hidden instruction", "poisoned passage"):
        assert (found[name]["questions"], found[name]["misled"], found[name]["right"]) == (4, 4, 0)
        assert found[name]["quotes that stand at their place"] == 1.0
    reader: Any = pipeline.reader
    for passage in (hit.passage for hit in reader.read_):
        text = BRIDGE if passage.doc_id == "docs/bridge.md" else APPLE
        assert passage.end - passage.start == len(passage.text)
        assert passage.text.startswith(text[passage.start : passage.end])
    records = [
        json.loads(line) for line in (tmp_path / "out" / "per_question.jsonl").read_text().splitlines()
    ]
    assert len(records) == sum(row["questions"] for row in found.values())
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == found


def test_the_same_questions_give_the_same_files(pipeline: Pipeline, tmp_path: Path) -> None:
    for name in ("one", "two"):
        probe(pipeline, asked(tmp_path), tmp_path / name, on_bad=lambda fault: None)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_run_goes_on_after_the_last_whole_batch(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragqa.robustness._AT_ONCE", 2)
    reader: Any = pipeline.reader
    probe(pipeline, asked(tmp_path), tmp_path / "whole", on_bad=lambda fault: None)
    of_all = len(reader.read_)
    lines = (tmp_path / "whole" / "per_question.jsonl").read_bytes().splitlines(keepends=True)
    # 4 as asked, 3 with typos, 2 in lower case, 4 in a phrase, and four times 4 misled: batches end at these lines.
    ends = (0, 2, 4, 6, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29)
    assert len(lines) == ends[-1]
    for kept in range(len(lines) + 1):
        folder = tmp_path / f"after {kept}"
        folder.mkdir()
        (folder / "settings.json").write_bytes((tmp_path / "whole" / "settings.json").read_bytes())
        half = lines[kept][:30] if kept < len(lines) else b""
        (folder / "per_question.jsonl").write_bytes(b"".join(lines[:kept]) + half)
        reader.read_.clear()
        probe(pipeline, asked(tmp_path), folder, on_bad=lambda fault: None)
        first = max(end for end in ends if end <= kept)
        assert (len(reader.read_) == 0) == (first == len(lines))
        assert len(reader.read_) <= of_all - first  # one hit a question at least is not read again
        for path in (tmp_path / "whole").iterdir():
            assert path.read_bytes() == (folder / path.name).read_bytes(), (kept, path.name)


def test_a_folder_with_an_evaluation_and_questions_without_answers_here_are_refused(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(UsageError, match="holds an evaluation of other questions"):
        probe(pipeline, asked(tmp_path), tmp_path, on_bad=lambda fault: None)
    probe(pipeline, asked(tmp_path), tmp_path / "kept", on_bad=lambda fault: None)
    before = (tmp_path / "kept" / "per_question.jsonl").read_bytes()
    with pytest.raises(UsageError, match="kept holds an evaluation of other questions"):
        probe(pipeline, asked(tmp_path), tmp_path / "kept", limit=2, on_bad=lambda fault: None)
    assert (tmp_path / "kept" / "per_question.jsonl").read_bytes() == before
    probe(pipeline, asked(tmp_path), tmp_path / "kept", on_bad=lambda fault: None)
    gone = tmp_path / "gone.jsonl"
    gone.write_text('{"question": "Why?", "answers": ["so"], "document": "docs/none.md", "quote": "so"}\n')
    with pytest.raises(DataError, match="no answer to the 1 questions"):
        probe(pipeline, gone, tmp_path / "out", on_bad=lambda fault: None)
