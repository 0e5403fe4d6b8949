"""``ragqa eval`` over real documents: one record a question, a report that opens anywhere, and a gate."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ragqa import checkpoints, evaluating
from ragqa.backbone import builtin_path
from ragqa.evaluation.answers import RIGHT_F1
from ragqa.evaluation.blame import Verdict
from ragqa.models.choice import ChoiceModel
from ragqa.models.pair import PairModel

pytestmark = pytest.mark.usefixtures("at_home")

BRIDGE = {
    "id": "designer",
    "question": "Who designed the Orchard Bridge?",
    "answers": ["Maria Keller"],
    "document": "docs/bridge.md",
    "quote": "Maria Keller",
}
OPENED = {
    "id": "opened",
    "question": "When did the Orchard Bridge open?",
    "answers": ["1931"],
    "document": "docs/bridge.md",
    "quote": "1931",
}
APPLE = {
    "id": "苹果",
    "question": "苹果树在几月开花？",
    "answers": ["四月"],
    "document": "docs/果园.md",
    "quote": "四月",
}
UNKNOWN: dict[str, Any] = {
    "id": "unknown",
    "question": "What is the melting point of tungsten?",
    "answers": [],
    "document": None,
}
GONE = {**BRIDGE, "id": "gone", "document": "docs/sold.md"}
FILES = {
    "report.html",
    "report.md",
    "scores.json",
    "per_question.jsonl",
    "run.txt",
    "qrels.txt",
    "reliability.png",
    "risk_coverage.png",
    "settings.json",
    "times.json",
}


def asked(*records: dict[str, Any], name: str = "questions.jsonl") -> str:
    Path(name).write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8"
    )
    return name


def records_of(folder: str) -> dict[str, dict[str, Any]]:
    lines = (Path(folder) / "per_question.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_of_many_questions_that_are_left_out_a_file_names_all(ragqa: Any) -> None:
    gone = [{**GONE, "id": f"gone {n}", "question": f"{GONE['question']} {n}"} for n in range(14)]
    data = asked(BRIDGE, *gone, name="sold.jsonl")
    done = ragqa("eval", "--data", data)
    assert done.code == 0
    named = [line for line in done.err.splitlines() if line.startswith("left out: ")]
    assert len(named) == 11
    assert named[-1] == "left out: 4 more; all are in evaluations/sold/left_out.txt"
    listed = Path("evaluations/sold/left_out.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in listed] == [f"question 'gone {n}'" for n in range(14)]


def test_every_question_has_a_verdict_and_the_report_is_whole(ragqa: Any) -> None:
    data = asked(BRIDGE, OPENED, APPLE, UNKNOWN, GONE)
    done = ragqa("eval", "--data", data, "--set", "reader.threshold=0.0")
    assert done.code == 0
    assert "left out: question 'gone': the index does not hold its answer (docs/sold.md)" in done.err
    folder = "evaluations/questions"
    assert done.out.splitlines()[-1] == f"{folder}/report.html"
    assert {path.name for path in Path(folder).iterdir()} == FILES | {"left_out.txt"}
    records = records_of(folder)
    assert records.keys() == {"designer", "opened", "苹果", "unknown"}
    assert records["designer"]["verdict"] == Verdict.ANSWERED
    assert records["designer"]["scores"]["F1"] == 1.0
    assert records["designer"]["rankings"]["fused"][0] in records["designer"]["gold rows"]
    (cited,) = records["designer"]["citations"]
    assert (cited["quote"], cited["stands"], cited["recall"]) == ("Maria Keller", True, 1.0)
    # A Chinese question is answered with a whole sentence: right where it holds the answer.
    assert records["苹果"]["verdict"] == Verdict.ANSWERED
    assert 0 < records["苹果"]["scores"]["F1"] < RIGHT_F1
    assert [records[name]["right before the threshold"] for name in ("designer", "苹果", "unknown")] == [
        True,
        True,
        False,
    ]
    assert records["unknown"]["verdict"] == Verdict.WRONGLY_ANSWERED  # the threshold lets everything through
    scores = json.loads((Path(folder) / "scores.json").read_text(encoding="utf-8"))
    assert scores["questions"] == {"asked": 4, "answerable": 3, "left out": 1}
    assert sum(scores["verdicts"].values()) == 4
    assert scores["answers by language"].keys() == {"en", "zh"}
    assert scores["citations"]["quotes that stand at their place"]["mean"] == 1.0
    alone = json.loads((Path(folder) / "times.json").read_text())["one by one"]
    assert alone["questions"] == 4
    assert alone["milliseconds"].keys() == {"encode", "dense", "bm25", "fuse", "read", "total"}
    assert "Milliseconds a question (4 asked one by one)" in done.out
    page = (Path(folder) / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
    assert "苹果树在几月开花？" in page


def test_the_same_evaluation_gives_the_same_files_and_a_killed_one_goes_on(
    ragqa: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "_AT_ONCE", 2)
    data = asked(BRIDGE, OPENED, APPLE, UNKNOWN)
    for folder in ("one", "two"):
        assert ragqa("eval", "--data", data, "--output", folder).code == 0
    # As a kill in the middle of a line leaves it: one whole batch, a line of the next, and half a line.
    lines = Path("two/per_question.jsonl").read_bytes().splitlines(keepends=True)
    Path("two/per_question.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:20])
    (Path("two") / "scores.json").unlink()
    assert "holds no finished evaluation" in ragqa("eval", "compare", "one", "two").err
    assert ragqa("eval", "--data", data, "--output", "two").code == 0
    for name in FILES - {"times.json"}:
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes(), name


def test_a_gate_is_an_exit_code(ragqa: Any) -> None:
    data = asked(BRIDGE, OPENED, UNKNOWN)
    ragqa("eval", "--data", data, "--output", "open", "--set", "reader.threshold=0.0")
    ragqa("eval", "--data", data, "--output", "shut", "--set", "reader.threshold=1.0")
    better = ragqa("eval", "compare", "shut", "open", "--gate", "f1>=0")
    assert better.code == 0
    worse = ragqa("eval", "compare", "open", "shut", "--gate", "f1>=0, recall@5>=-0.01")
    assert worse.code == 5
    assert "the gate stays closed: F1 changed by -" in worse.out
    found = json.loads(ragqa("eval", "compare", "open", "shut", "--gate", "f1>=0", "--json").out)
    assert found["gate"]["failed"] == ["F1"]
    assert found["gained"] == ["unknown"]


@pytest.mark.parametrize(
    ("records", "options", "named"),
    [
        ([], (), "is empty"),
        ([GONE], (), "none of the 1 questions of questions.jsonl can be judged on this index"),
        ([BRIDGE, BRIDGE], (), "the id 'designer' stands at two questions"),
    ],
)
def test_what_cannot_be_judged_is_named(
    ragqa: Any, records: list[dict[str, Any]], options: tuple[str, ...], named: str
) -> None:
    done = ragqa("eval", "--data", asked(*records), *options)
    assert done.code == 1
    assert named in done.err


def test_another_evaluation_in_the_folder_is_kept(ragqa: Any) -> None:
    ragqa("eval", "--data", asked(BRIDGE), "--output", "kept")
    before = (Path("kept") / "per_question.jsonl").read_bytes()
    done = ragqa("eval", "--data", asked(OPENED, name="others.jsonl"), "--output", "kept")
    assert done.code == 2
    assert "--output kept_2" in done.err
    assert (Path("kept") / "per_question.jsonl").read_bytes() == before
    assert ragqa("eval").code == 2
    assert ragqa("eval", "compare", "kept", "nowhere").code == 2


def test_questions_with_their_passage_find_it_by_its_words(ragqa: Any) -> None:
    passage = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
    known = {"question": "When did it open?", "passage": passage, "answers": ["1931"], "document": "a file"}
    other = {"question": "How long is it?", "passage": "It is 300 metres long.", "answers": ["300 metres"]}
    marked = {
        **known,
        "id": "marked",
        "passage": passage.replace("It", "\ufeffIt"),
    }  # a loader leaves the mark out
    done = ragqa("eval", "--data", asked(known, other, marked), "--output", "passages")
    assert done.code == 0
    assert records_of("passages").keys() == {"line 1", "marked"}
    assert "question 'line 2'" in done.err


def test_the_own_passage_is_read_whether_it_answers_or_not(ragqa: Any) -> None:
    bridge = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
    asked_of = {
        "opened": ("When did the Orchard Bridge open?", bridge, "1931"),
        "closed": ("When did the Orchard Bridge close?", bridge, None),
        "blossom": ("When do the trees blossom?", "苹果树在四月开花。果实在九月成熟。", None),
        "elsewhere": ("How long is it?", "It is 300 metres long, and nobody has indexed this text.", None),
    }
    articles = [
        {
            "title": name,
            "paragraphs": [
                {
                    "context": passage,
                    "qas": [
                        {
                            "id": name,
                            "question": question,
                            "answers": [
                                {"text": a, "answer_start": passage.index(a)} for a in (answer,) if a
                            ],
                            "is_impossible": answer is None,
                        }
                    ],
                }
            ],
        }
        for name, (question, passage, answer) in asked_of.items()
    ]
    Path("squad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    options = ("--own-passage", "--set", "reader.threshold=0.0")
    done = ragqa("eval", "--data", "squad.json", *options)
    assert done.code == 0, done.err
    assert "question 'elsewhere' comes with no passage of the index" in done.err
    records = records_of("evaluations/squad_own_passage")
    assert records.keys() == {"opened", "closed", "blossom"}
    assert records["opened"]["verdict"] == Verdict.ANSWERED
    assert records["opened"]["scores"]["F1 with the gold passage"] == records["opened"]["scores"]["F1"] == 1.0
    assert records["closed"]["verdict"] == Verdict.WRONGLY_ANSWERED
    # Each read its own passage and no other, also where the retrieval would have found a better one.
    rows = {name: record["rankings"]["own passage"] for name, record in records.items()}
    assert rows["opened"] == rows["closed"] != rows["blossom"]
    assert [c["document"] for c in records["blossom"]["citations"]] == ["docs/果园.md"]
    scores = json.loads(Path("evaluations/squad_own_passage/scores.json").read_text(encoding="utf-8"))
    assert (scores["retrieval"], scores["questions"]["left out"]) == ({}, 1)
    assert "coverage at 10% risk" in scores["confidence"]
    retrieved = ragqa("eval", "--data", "squad.json", "--output", "evaluations/squad_own_passage")
    assert retrieved.code == 2  # another evaluation


def test_where_only_passages_are_known_retrieval_alone_is_measured(ragqa: Any) -> None:
    folder = Path("beir")
    (folder / "qrels").mkdir(parents=True)
    corpus = [
        {
            "_id": "b",
            "title": "",
            "text": "The Orchard Bridge was designed by Maria Keller. It opened in 1931.",
        },
        {"_id": "o", "title": "", "text": "苹果树在四月开花。果实在九月成熟。"},
        {"_id": "x", "title": "", "text": "Nothing of this stands in any document of the index, not a word."},
    ]
    queries = [{"_id": "1", "text": "Who designed the bridge?"}, {"_id": "2", "text": "What is missing?"}]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\tb\t1\n1\to\t1\n2\tx\t1\n")
    done = ragqa("eval", "--data", str(folder), "--output", "retrieval_only")
    assert done.code == 0, done.err
    assert "question '2': the index does not hold" in done.err
    assert len(records_of("retrieval_only")["1"]["gold rows"]) == 2
    assert "Retrieval" in done.out
    assert "Whose fault" not in done.out
    assert not list(Path("retrieval_only").glob("*.png"))
    times = json.loads((Path("retrieval_only") / "times.json").read_text())
    assert "read" not in times["one by one"]["milliseconds"]
    assert "load reader" not in times["stages"]
    compared = ragqa("eval", "compare", "retrieval_only", "retrieval_only")
    assert compared.out.splitlines()[-1].endswith("no answer of these questions can be judged")


def test_baselines_are_one_table_and_an_evaluation_each(ragqa: Any) -> None:
    done = ragqa("eval", "baselines", "--data", asked(BRIDGE, OPENED, APPLE), "--output", "base")
    assert done.code == 0
    heads, *rows = done.out.splitlines()
    assert heads.split() == ["recall@1", "recall@5", "nDCG@10", "exact", "match", "F1", "right"]
    assert [row[:18].strip() for row in rows] == [
        "no retrieval",
        "BM25 alone",
        "dense alone",
        "hybrid",
        "hybrid, reranked",
    ]
    assert [row.split()[2:] for row in rows[:1]] == [
        ["0.000"] * 6
    ]  # an extractive reader has nothing to read
    assert all(r["candidate"] == "" for r in records_of("base/no_retrieval").values())
    records = records_of("base/hybrid_reranked")
    assert all("reranked" in record["rankings"] for record in records.values())
    change = ragqa("eval", "compare", "base/bm25_alone", "base/hybrid", "--json")
    assert json.loads(change.out)["measures"]["F1"]["questions"] == 3


def test_options_are_judged_by_the_letter_where_the_reader_chooses(
    ragqa: Any, tmp_path: Path, small_bert: Path
) -> None:
    head = ChoiceModel.from_backbone(small_bert, dropout=0.0).head  # of zeros: the first option is taken
    weights = {"head.weight": 0 * head.weight, "head.bias": 0 * head.bias}
    checkpoints.save(tmp_path / "choice", weights, {"kind": "choice", "backbone": str(small_bert)}, "float32")
    passage = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
    data = asked(
        {"id": "a", "question": "Where is a bridge?", "choices": ["river", "oven", "hat"], "correct": "A"},
        {"id": "b", "question": "Where is an oven?", "choices": ["river bank", "bank"], "correct": "bank"},
        {
            "id": "c",
            "question": "When did it open?",
            "choices": ["1930", "1931"],
            "correct": "B",
            "passage": passage,
        },
        {
            "id": "d",
            "question": "Where is a hat?",
            "choices": ["hat", "oven"],
            "correct": "A",
            "passage": "Of a book sold.",
        },
        {"id": "plain", "question": "Who designed it?", "passage": passage, "answers": ["Maria Keller"]},
        name="options.jsonl",
    )
    choosing = ("--set", "reader=multiple_choice", "--set", f"reader.model={tmp_path / 'choice'}")
    folder = str(tmp_path / "options")
    done = ragqa("eval", "--data", data, "--output", folder, *choosing)
    assert done.code == 0, done.err
    assert "question 'plain' has no options to choose from" in done.err
    assert "question 'd': the index does not hold its answer" in done.err
    records = records_of(folder)
    assert {key: (r["verdict"], r["scores"]["accuracy"]) for key, r in records.items()} == {
        "a": (Verdict.ANSWERED, 1.0),
        "b": (Verdict.NOT_CHOSEN, 0.0),  # half the words of the right one, and another option
        "c": (Verdict.READER_MISSED, 0.0),
    }
    assert records["c"]["scores"]["accuracy with the gold passage"] == 0.0
    scores = json.loads((Path(folder) / "scores.json").read_text(encoding="utf-8"))
    assert scores["answers"]["accuracy"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    assert scores["answers"]["accuracy with the gold passage"]["n"] == 1
    assert scores["options"]["confusion"] == [[1, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert scores["options"]["classes"]["A"] == {"precision": 0.3333, "recall": 1.0, "F1": 0.5, "n": 1}
    assert "3 questions with options." in (Path(folder) / "report.md").read_text(encoding="utf-8")
    assert "likeliest" in (Path(folder) / "report.html").read_text(encoding="utf-8")
    strict = ragqa(
        "eval", "--data", data, "--output", f"{folder} refused", *choosing, "--set", "reader.threshold=0.9"
    )
    assert strict.code == 0
    refused = records_of(f"{folder} refused")
    assert (refused["a"]["answer"], refused["a"]["candidate"]) == (None, "river")
    assert refused["a"]["scores"] == {"accuracy": 0.0, "accuracy before the threshold": 1.0}
    change = json.loads(ragqa("eval", "compare", folder, f"{folder} refused", "--json").out)
    assert change["measures"]["accuracy"]["difference"] == pytest.approx(-1 / 3)
    assert change["lost"] == ["a"]
    in_words = ragqa("eval", "--data", data, "--output", f"{folder} in words")
    assert in_words.err.count("has options to choose from") == 4
    assert records_of(f"{folder} in words").keys() == {"plain"}


def test_without_retrieval_the_options_are_weighed_by_the_question_alone(ragqa: Any) -> None:
    choices = ["a bridge", "an apple tree", "a hat"]
    data = asked(
        {"id": "a", "question": "What blossoms in April?", "choices": choices, "correct": "B"},
        {"id": "b", "question": "What carries people over a river?", "choices": choices, "correct": "A"},
        name="options.jsonl",
    )
    done = ragqa(
        "eval", "baselines", "--data", data, "--output", "by option", "--set", "reader=multiple_choice"
    )
    assert done.code == 0, done.err
    alone, read = records_of("by option/no_retrieval"), records_of("by option/hybrid")
    assert all(record["answer"] in choices and not record["citations"] for record in alone.values())
    assert [r["confidence"] for r in alone.values()] != [r["confidence"] for r in read.values()]
    settings = json.loads(Path("by option/no_retrieval/settings.json").read_text(encoding="utf-8"))
    assert settings["config"]["reader"] == {"name": "multiple_choice", "closed_book": True}
    asked_alone = ragqa(
        "ask", "What blossoms?", "--choices", "a hat|a tree", "--set", "fusion.method=none",
        "--set", "reader=multiple_choice", "--set", "reader.closed_book=true",
    )  # fmt: skip
    assert asked_alone.code == 0
    assert "note: no passage was read" in asked_alone.out


def test_robustness_is_one_table_with_a_row_for_each_condition(ragqa: Any, tmp_path: Path) -> None:
    done = ragqa(
        "eval",
        "robustness",
        "--data",
        asked(BRIDGE, OPENED, APPLE, UNKNOWN),
        "--output",
        str(tmp_path / "out"),
    )
    assert done.code == 0, done.err
    names = [
        "as asked",
        "typos",
        "lower case",
        "paraphrase",
        "distractor",
        "planted answer",
        "hidden instruction",
        "poisoned passage",
    ]
    assert [line[:18].strip() for line in done.out.splitlines()[1:9]] == names
    assert done.out.splitlines()[-1] == f"{tmp_path / 'out'}/report.md"
    scores = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores) == names
    assert all(row["quotes that stand at their place"] == 1.0 for row in scores.values())


@pytest.mark.parametrize("command", [("eval",), ("eval", "robustness")])
def test_a_run_that_is_killed_goes_on_to_the_same_files(
    command: tuple[str, ...], town: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle, then the same command again, against a run that nobody killed."""
    questions = [json.loads(line) for line in (town / "questions.jsonl").read_text().splitlines()]
    if "robustness" not in command:  # which asks each eight times
        questions += [{**question, "id": f"{question['id']} again"} for question in questions]
    data = tmp_path / asked(*questions, name=str(tmp_path / "many.jsonl"))

    def started(folder: str) -> "subprocess.Popen[bytes]":
        words = ["--data", str(data), "--index", str(town / "index"), "--output", str(tmp_path / folder)]
        words += ["--set", "top_k=1"]
        plain = {**os.environ, "RAGQA_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "ragqa", *command, *words], stdout=subprocess.DEVNULL, env=plain
        )

    records, running = tmp_path / "killed" / "per_question.jsonl", started("killed")
    while running.poll() is None and not (records.exists() and records.stat().st_size):
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    before = records.read_bytes()
    assert before
    assert not (tmp_path / "killed" / "scores.json").exists()
    assert started("killed").wait() == started("whole").wait() == 0
    for path in sorted((tmp_path / "whole").iterdir()):
        if path.name != "times.json":
            assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name
    assert records.read_bytes().startswith(before[: before.rfind(b"\n") + 1])


def test_an_evaluation_of_another_kind_in_the_folder_is_kept(ragqa: Any) -> None:
    data = asked(BRIDGE)
    assert ragqa("eval", "robustness", "--data", data, "--output", "out").code == 0
    before = (Path("out") / "per_question.jsonl").read_bytes()
    for _ in range(2):  # with the settings of the other kind, then without any
        done = ragqa("eval", "--data", data, "--output", "out")
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert "out holds an evaluation" in done.err
        assert done.err.endswith("accepted: a folder of its own for each; try: --output out_2\n")
        assert (Path("out") / "per_question.jsonl").read_bytes() == before
        compared = ragqa("eval", "compare", "out", "out")
        assert (compared.code, "out holds no finished evaluation" in compared.err) == (2, True)
        (Path("out") / "settings.json").unlink(missing_ok=True)


def test_kb_means_the_questions_of_the_repository(ragqa: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ragqa("eval", "--data", "kb", "--limit", "1", "--output", "own")
    assert (own.code, "kb/handbook/pretraining.md" in own.err) == (
        1,
        True,
    )  # asked of an index of other documents
    Path("kb").write_text(Path(asked(BRIDGE)).read_text(encoding="utf-8"), encoding="utf-8")
    assert ragqa("eval", "--data", "kb", "--output", "a file named kb").code == 0
    Path("kb").unlink()
    monkeypatch.setattr(
        "ragqa.cli.evaluate_once.__file__", "/lib/python/site-packages/ragqa/cli/evaluate_once.py"
    )
    installed = ragqa("eval", "--data", "kb", "--output", "own")
    assert installed.code == 2
    assert "part of its repository, not of an installation" in installed.err


def test_characters_that_end_lines_elsewhere_stay_in_their_question(ragqa: Any) -> None:
    odd = {**BRIDGE, "question": "Who designed\u2028the Orchard\u0085Bridge?"}
    assert ragqa("eval", "--data", asked(odd), "--output", "odd").code == 0
    assert ragqa("eval", "--data", asked(odd), "--output", "odd").code == 0
    assert ragqa("eval", "compare", "odd", "odd").code == 0


def test_what_a_reranker_moves_out_is_its_fault(ragqa: Any, at_home: Path, tmp_path: Path) -> None:
    head = PairModel.from_backbone(builtin_path(), dropout=0.0).head
    verdicts = []
    for name, sign in (("one", 1.0), ("turned", -1.0)):
        # With the head turned round the order is the opposite one: in one of the two runs the bridge moves out.
        model, weights = tmp_path / name, {"head.weight": sign * head.weight, "head.bias": 0 * head.bias}
        checkpoints.save(model, weights, {"kind": "pair", "backbone": "builtin"}, "float32")
        output = str(tmp_path / f"evaluated {name}")
        done = ragqa("eval", "--data", asked(BRIDGE), "--output", output, *reranked_by(model))
        assert done.code == 0, done.err
        (record,) = records_of(output).values()
        assert record["rankings"]["fused"][0] in record["gold rows"]
        verdicts.append(record["verdict"])
    assert sorted(verdicts) == sorted([Verdict.RERANKER_DROPPED, Verdict.ANSWERED])


def test_a_model_trained_anew_in_its_place_is_another(ragqa: Any, at_home: Path, tmp_path: Path) -> None:
    head = PairModel.from_backbone(builtin_path(), dropout=0.0).head
    for bias, code in ((0.0, 0), (0.0, 0), (1.0, 2)):
        weights = {"head.weight": 0 * head.weight, "head.bias": 0 * head.bias + bias}
        checkpoints.save(tmp_path / "model", weights, {"kind": "pair", "backbone": "builtin"}, "float32")
        done = ragqa(
            "eval",
            "--data",
            asked(BRIDGE),
            "--output",
            str(tmp_path / "anew"),
            *reranked_by(tmp_path / "model"),
        )
        assert done.code == code, done.err


def reranked_by(model: Path) -> tuple[str, ...]:
    """Options for a reranker whose word alone counts, with one hit read."""
    settings = ("reranker.name=cross_encoder", f"reranker.model={model}", "reranker.weight=1.0")
    others = ("top_k=1", "reader.threshold=0.0")
    return tuple(word for setting in (*settings, *others) for word in ("--set", setting))
