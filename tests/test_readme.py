"""The documents for people hold: commands, options and paths exist, shown output is real, figures have files.

``python tests/test_readme.py`` runs the commands of the README's output blocks again and rewrites the blocks.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ragqa.cli import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ragqa"
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")),
    *(
        ROOT / "docs" / name
        for name in (
            "architecture.md",
            "conversation.md",
            "evaluation.md",
            "log.md",
            "objectives.md",
            "training.md",
            "training_settings.md",
            "writing.md",
        )
    ),
]

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"\.?[\w-]+(?:[/.][\w.*-]+)*/?")
_FILE = re.compile(r"[\w-]+\.(?:py|md|toml|yaml|txt)")
_MADE_BY_COMMANDS = ("runs/", "indexes/", "evaluations/", "conversations/", ".venv/", "model/", "shared/")
_LEFT_BY_COMMANDS = frozenset({"report.md", "run.txt", "qrels.txt", "left_out.txt"})
_OUTPUT = re.compile(
    r"(?<=<!-- output -->\n```console\n)\$ ([^\n]+)\n(.*?)\$ echo \$\?\n(\d+)\n(?=```)", re.DOTALL
)
_CONFIDENCE = re.compile(r"(?<=confidence )\d\.\d\d")
_FIGURE = re.compile(r"\| *\**([\d.,]+)\** *\|(?:[^\n]*\|)? *`(benchmarks/results/[\w.-]+\.json)#(/[^`]+)`")


def without_blocks(text: str) -> str:
    """Markdown without its fenced blocks, which would unbalance the marks of code within lines."""
    return _FENCE.sub("", text)


def shown_commands(text: str, program: str) -> Iterator[list[str]]:
    """The words after ``program`` in each command of fenced blocks and of code within lines."""
    lines = [line.removeprefix("$ ") for block in _FENCE.findall(text) for line in block.splitlines()]
    for line in [*lines, *_CODE.findall(without_blocks(text))]:
        if line.startswith(f"{program} "):
            words = shlex.split(line, comments=True)[1:]
            stop = (at for at, word in enumerate(words) if word in ("<", ">", "|", "&&"))
            yield words[: next(stop, len(words))]


def faults(words: list[str]) -> list[str]:
    """What the program would not understand of a command: unknown commands and options."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            return [f"no command {name}"]
        command = command.commands[name]
    known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
    return [
        f"no option {word}" for word in rest if word.startswith("--") and word.partition("=")[0] not in known
    ]


def mentioned_paths(page: Path) -> Iterator[str]:
    """Relative paths in links, and in code within lines where it names a file or folder of the project."""
    text = without_blocks(page.read_text(encoding="utf-8"))
    yield from (link for link in _LINK.findall(text) if ":" not in link)
    for code in _CODE.findall(text):
        words = code.split("#")[0]
        if _PATH.fullmatch(words) and ("/" in words or _FILE.fullmatch(words)):
            yield words


def exists(path: str, page: Path) -> bool:
    """True when ``path`` lies beside the page, in the repository or in the package, or is a file name in it."""
    if path.startswith(_MADE_BY_COMMANDS) or path in _LEFT_BY_COMMANDS:
        return True
    if any((folder / path).exists() for folder in (page.parent, ROOT, PACKAGE)):
        return True
    return "/" not in path and any(PACKAGE.rglob(path))


def disagreements(text: str, root: Path) -> list[str]:
    """Table rows ``| figure | … | `benchmarks/results/X.json#/json/pointer` |`` whose file says otherwise."""
    wrong = []
    for figure, file, pointer in _FIGURE.findall(text):
        value: Any = json.loads((root / file).read_text(encoding="utf-8"))
        for key in pointer.strip("/").split("/"):
            value = value[key]
        decimals = len(figure.partition(".")[2])
        if f"{value:,.{decimals}f}" != figure and f"{value:.{decimals}f}" != figure:
            wrong.append(f"{file}#{pointer} is {value}, not {figure}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_shown_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [(words, found) for words in shown_commands(text, "ragqa") if (found := faults(words))] == []


def test_the_readme_shows_every_command() -> None:
    command: Any = typer.main.get_command(app)
    shown = {words[0] for words in shown_commands(README.read_text(encoding="utf-8"), "ragqa")}
    assert set(command.commands) <= shown


def test_a_wrong_command_or_option_would_be_found() -> None:
    assert faults(["aks", "why"]) == ["no command aks"]
    assert faults(["ask", "why", "--topk", "3"]) == ["no option --topk"]
    assert list(shown_commands("```\n$ ragqa ask - --json < a.txt  # all\n```\n", "ragqa")) == [
        ["ask", "-", "--json"]
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_shown_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {word for words in shown_commands(page.read_text(encoding="utf-8"), "make") for word in words}
    assert shown <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_mentioned_exist(page: Path) -> None:
    assert [path for path in mentioned_paths(page) if not exists(path, page)] == []


def test_the_architecture_names_every_file_of_the_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(_CODE.findall(without_blocks(text)))
    files = {file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"}
    assert {str(f.relative_to(PACKAGE)) for f in files if f.name not in named} == set()
    assert {f"{f.relative_to(PACKAGE)}/" for f in PACKAGE.iterdir() if (f / "__init__.py").exists()} <= named


def test_training_page_says_which_settings_are_for_which_generator() -> None:
    from ragqa.training.settings import GeneratorRun

    text = (ROOT / "docs" / "training_settings.md").read_text(encoding="utf-8")
    told = text.partition("## Settings of the generator\n\n")[2].partition("\n\n")[0]
    decoders, language_models = told.split(" are for a decoder of ours; ")
    assert set(re.findall(r"`(\w+)`", decoders)) == set(GeneratorRun.for_decoders)
    assert set(re.findall(r"`(\w+)`", language_models)) == set(GeneratorRun.for_language_models)


@pytest.mark.parametrize(
    "target", ["reader", "retriever", "reranker", "generator", "choice", "pretrain", "joint"]
)
def test_training_page_names_every_setting_with_its_default(target: str) -> None:
    from ragqa.training import settings
    from ragqa.training.schedule import Schedule

    text = (ROOT / "docs" / "training_settings.md").read_text(encoding="utf-8")
    shared, *parts = re.split(r"^## Settings of the (\w+)$", text, flags=re.MULTILINE)
    own = dict(zip(parts[::2], parts[1::2], strict=True))[target].partition("\n##")[0]
    rows = re.compile(r"^\| `([\w.]+)` \| `?([^|`]+?)`? \|", re.MULTILINE)
    stated = {**dict(rows.findall(shared)), **dict(rows.findall(own))}
    fields = dict(getattr(settings, f"{target.capitalize()}Run").model_fields)
    for part, kind in (("schedule", Schedule), ("mining", settings.MiningConfig)):
        section = fields.pop(part, None)
        default = section.default if section is not None and section.default is not None else kind()
        if section is not None:
            fields |= {f"{part}.{name}": field for name, field in kind.model_fields.items()}
            left_open = {n for n, _ in default if stated[f"{part}.{n}"] in ("by size", "by target")}
            numbers = {f"{part}.{n}": v for n, v in default if type(v) in (int, float) and n not in left_open}
            assert {name: float(stated[name]) for name in numbers} == numbers
            if left_open:
                run = getattr(settings, f"{target.capitalize()}Run")(data="questions.jsonl")
                assert left_open <= run.default_schedule(500, 1.0).model_fields_set
    assert fields.keys() - stated.keys() == set()
    numbers = {n: f.default for n, f in fields.items() if type(f.default) in (int, float) and "." not in n}
    assert {name: float(stated[name]) for name in numbers} == numbers


def test_training_page_tells_rate_and_patience_of_every_target() -> None:
    from ragqa.training import settings

    text = (ROOT / "docs" / "training_settings.md").read_text(encoding="utf-8")
    told = {
        name: {float(number) for number in re.findall(r"\b\d[\d.]*(?:e-\d)?\b", meaning)}
        for name, meaning in re.findall(r"^\| `schedule\.(\w+)` \| by target \| (.*) \|$", text, re.MULTILINE)
    }
    runs = [
        *(kind(data=("x",)) for kind in (settings.RerankerRun, settings.ChoiceRun, settings.GeneratorRun)),
        settings.PretrainRun(data=("x",)),
        *(settings.ReaderRun(data=("x",), start_from=start) for start in ("builtin", None)),
        *(settings.RetrieverRun(data=("x",), both_sides=both) for both in (False, True)),
    ]
    usual = [run.default_schedule(500, 1.0) for run in runs]
    assert told == {
        "patience": {s.patience for s in usual},
        "learning_rate": {s.learning_rate for s in usual},
    }


def test_figures_of_the_readme_stand_in_their_files() -> None:
    assert disagreements(README.read_text(encoding="utf-8"), ROOT) == []


def benchmark(name: str) -> Any:
    """A script of ``benchmarks/`` as a module."""
    found = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # where dataclasses look for it
    found.loader.exec_module(module)
    return module


def test_the_table_of_evaluations_is_that_of_its_file() -> None:
    script = benchmark("bench_eval")
    shown = README.read_text(encoding="utf-8").partition(script.BEGIN)[2].partition(script.END)[0]
    assert shown == script.table(json.loads(script.RESULT.read_text(encoding="utf-8")))


def test_the_table_of_others_is_that_of_its_file() -> None:
    _, _, rest = README.read_text(encoding="utf-8").partition("| system | documents/s |")
    shown = [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()[2:]]
    systems = json.loads((ROOT / "benchmarks/results/peers.json").read_text(encoding="utf-8"))["systems"]
    keys = ("documents_per_second", "cold_question_seconds", "warm_p50_ms", "index_peak_mb", "search_peak_mb")
    assert shown == [
        [name, *(str(row[key]) for key in (*keys, "ndcg_at_10"))] for name, row in systems.items()
    ]


def test_every_row_of_the_table_has_its_command_and_only_figures_of_its_own() -> None:
    script = benchmark("bench_eval")
    questions = {"asked": 1200, "answerable": 900, "left out": 0}
    plain = {"questions": questions, "date": "2026-11-26", "nDCG@10": 0.73814, "minutes": 0.62}
    results = {
        "scifact": {
            "no retrieval": {**plain, "nDCG@10": 0.0, "command": script.command("scifact", "no retrieval")},
            "hybrid": {**plain, "command": script.command("scifact", "hybrid")},
        },
        "kb": {"hybrid": {**plain, "F1": 0.6712, "command": script.command("kb", "hybrid")}},
    }
    heads, _, *rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in script.table(results).splitlines()
    ]
    assert heads == [
        "", "system", "questions", "nDCG@10", "F1, refused ones 0", "minutes", "date", "command",
    ]  # fmt: skip
    assert [row[1:6] for row in rows] == [
        ["hybrid", "1,200", "0.738", "0.671", "0.6"],
        ["hybrid", "1,200", "0.738", "–", "0.6"],
        ["no retrieval", "1,200", "0.000", "–", "0.6"],
    ]
    assert rows[1][-1] == "`python benchmarks/bench_eval.py --sets scifact`"
    assert rows[2][-1] == "`python benchmarks/bench_eval.py --sets scifact --systems 'no retrieval'`"


def test_a_figure_that_differs_from_its_file_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "kb.json").write_text('{"english": {"f1": 71.26}}')
    row = "| F1 | {} | now | `benchmarks/results/kb.json#/english/f1` |"
    assert disagreements(row.format("71.3"), tmp_path) == []
    assert len(disagreements(row.format("**71.4**"), tmp_path)) == 1


def asked(command: str, index: Path) -> tuple[str, str]:
    """What a command of the README, or a ``printf … | command``, prints in 80 columns, and its exit code."""
    typed, pipe, program = command.rpartition(" | ")
    words = [*shlex.split(program)[1:], "--index", str(index)]
    lines = shlex.split(typed)[1].replace("\\n", "\n") if pipe else ""
    plain = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(PACKAGE.parent), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "ragqa", *words],
        cwd=ROOT,
        env=plain,
        input=lines,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout, str(done.returncode)


def made_index(folder: Path) -> Path:
    """An index of kb/ as the README's command makes it."""
    subprocess.run(
        [sys.executable, "-m", "ragqa", "index", "kb/", "--index", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        check=True,
        capture_output=True,
    )
    return folder


def test_the_output_shown_is_what_the_program_prints(tmp_path: Path) -> None:
    """Word for word but for the confidence, which moves a little with the arithmetic of the processor."""
    index = made_index(tmp_path / "kb")
    blocks = _OUTPUT.findall(README.read_text(encoding="utf-8"))
    assert {code for _, _, code in blocks} == {"0", "3"}
    for command, shown, code in blocks:
        printed, exit_code = asked(command, index)
        assert exit_code == code
        assert _CONFIDENCE.sub("?", printed) == _CONFIDENCE.sub("?", shown)
        pairs = zip(_CONFIDENCE.findall(printed), _CONFIDENCE.findall(shown), strict=True)
        assert all(abs(float(now) - float(then)) <= 0.05 for now, then in pairs)


def rewrite() -> None:
    """Run the commands of the README's output blocks and write what they print."""
    with tempfile.TemporaryDirectory() as folder:
        index = made_index(Path(folder) / "kb")

        def fresh(block: re.Match[str]) -> str:
            printed, code = asked(block[1], index)
            return f"$ {block[1]}\n{printed}$ echo $?\n{code}\n"

        text = _OUTPUT.sub(fresh, README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
