"""What every test gets: models compiled once and kept between runs, no network by accident, and the program."""

import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ragqa.backbone import builtin_path
from ragqa.cli import main

_NAMES = ("Orchard", "Harbour", "Meadow", "Castle", "Windmill", "Abbey")
_KINDS = ("Bridge", "Viaduct", "Footbridge", "Crossing")

DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Compiled models go to pytest's cache: tests neither read nor fill the user's own."""
    if "RAGQA_CACHE" not in os.environ and config.cache is not None:
        os.environ["RAGQA_CACHE"] = str(config.cache.mkdir("ragqa"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; more threads would wait for each other
        for name in ("RAGQA_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    # How long an example takes says more about what else the machine does than about the code.
    settings.register_profile("ragqa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("ragqa")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public benchmark files."""
    if not DATA.is_dir():
        pytest.skip(f"no benchmark data in {DATA}; set RAGQA_DATA")
    return DATA


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of 24 documents, and ``questions.jsonl``: 24 with an answer and 12 without."""
    from ragqa.config import Config
    from ragqa.indexing import build_index

    folder = tmp_path_factory.mktemp("town")
    (folder / "bridges").mkdir()
    records: list[dict[str, Any]] = []
    for number in range(24):
        name, builder = f"{_NAMES[number % 6]} {_KINDS[number // 6]}", f"{_NAMES[number // 4]}a Kel{number}er"
        text = (
            f"The {name} was designed by {builder}. It crosses the river near mill number {number * 7} of the valley. "
            f"Its opening to wagons and walkers followed in {1800 + number}."
        )
        (folder / "bridges" / f"{number:02d}.md").write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
        records.append(
            {
                "id": f"q{number}",
                "question": f"Who designed the {name}?",
                "answers": [builder],
                "document": f"bridges/{number:02d}.md",
                "quote": builder,
            }
        )
    records += [
        {
            "id": f"n{number}",
            "question": f"What does metal {number} melt at?",
            "answers": [],
            "document": None,
        }
        for number in range(12)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    build_index([folder / "bridges"], folder / "index", Config.from_values({"encoder": "hashing"}))
    return folder


@pytest.fixture
def few_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ragqa tune`` reads 8 passages a question at most: reading is what takes its time."""
    from ragqa import fitting_reader

    monkeypatch.setattr(fitting_reader, "TOP_K", (3, 5, 8))


@pytest.fixture
def small_bert(tmp_path: Path) -> Path:
    """A Hugging Face folder with a random BERT of two layers, for up to 64 tokens, and the builtin's tokenizer."""
    from transformers import BertConfig, BertModel

    model = BertConfig(
        vocab_size=30522,
        max_position_embeddings=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.5,
    )
    return _saved(BertModel, model, tmp_path / "small-bert")


@pytest.fixture
def small_distilbert(tmp_path: Path) -> Path:
    """A random model whose network takes no token types."""
    from transformers import DistilBertConfig, DistilBertModel

    model = DistilBertConfig(vocab_size=30522, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    return _saved(DistilBertModel, model, tmp_path / "small-distilbert")


def _saved(network: Any, config: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(1)
    network(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(builtin_path() / name, folder)
    return folder


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ragqa(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command in this process, through the program's own entry point."""

    def run(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["ragqa", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.delenv("RAGQA_DEBUG", raising=False)
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


TOLD = {
    "bridge.md": "The Orchard Bridge was designed by Maria Keller. It opened in 1931.",
    "mill.md": "The Harbour Mill grinds barley. It was built of oak.",
    "apple.md": "苹果树在四月开花。果实在九月成熟。",
}
ASKED = {
    "Who designed the Orchard Bridge?": "Maria Keller",
    "When did the Orchard Bridge open?": "1931",
    "What does the Harbour Mill grind?": "barley",
    "苹果树在几月开花？": "四月",
}


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the three documents that ``talk`` knows."""
    return _index_of(TOLD, tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="session")
def orders() -> list[str]:
    """Forty documents about something else, each with another order to whoever reads it."""
    from ragqa.evaluation import perturbing

    return perturbing.orders()


@pytest.fixture(scope="session")
def ordered(orders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of these and of the three documents."""
    given = {f"order{number:02}.md": text for number, text in enumerate(orders)}
    return _index_of({**TOLD, **given}, tmp_path_factory.mktemp("ordered"))


def _index_of(documents: dict[str, str], folder: Path) -> Path:
    from ragqa.config import Config
    from ragqa.indexing import build_index

    (folder / "docs").mkdir()
    for name, text in documents.items():
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    build_index([folder / "docs"], folder / "index", Config.from_values({"encoder": "hashing"}))
    return folder / "index"


@dataclass(frozen=True)
class Talk:
    """A tiny language model that answers questions of three documents by heart, in the shipped prompt."""

    model: Path
    documents: dict[str, str]
    answers: dict[str, str]


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """A Llama of two layers, whose vocabulary are the words of documents, prompts and hidden instructions."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ragqa.evaluation import perturbing
    from ragqa.prompting import Prompter
    from ragqa.types import Passage

    documents, answers = TOLD, ASKED
    tokenizer = _tokenizer_of([*documents.values(), *answers, *answers.values()])
    prompter, draw = Prompter(tokenizer), random.Random(0)
    words = " ".join(
        (*perturbing.INSTRUCTIONS, *perturbing.INSTRUCTIONS_ZH, *perturbing.STRANGERS[0])
    ).split()

    def passages() -> list[Passage]:
        """Some of the documents, and words at random that make no difference to it, too."""
        noise = [" ".join(draw.choices(words, k=12)) for _ in range(draw.randint(0, 3))]
        texts = [*draw.sample(list(documents.values()), draw.randint(0, 3)), *noise]
        return [Passage("", 0, len(text), text) for text in draw.sample(texts, len(texts))]

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=1024,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(240):
        rows = [
            (prompter.prompt(question, passages()).ids, prompter.answer_ids(said))
            for question, said in answers.items()
        ]
        width = max(len(prompt) + len(said) for prompt, said in rows)
        ids, labels = torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows), width), -100)
        for row, (prompt, said) in enumerate(rows):
            ids[row, width - len(prompt) - len(said) :] = torch.tensor([*prompt, *said])
            labels[row, width - len(said) :] = torch.tensor(said)
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("talk")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Talk(folder, documents, answers)


def _tokenizer_of(texts: list[str]) -> Any:
    """A byte-level tokenizer of transformers whose pieces are those of ``texts``, prompts and hidden instructions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from ragqa import prompting, templates
    from ragqa.evaluation import perturbing

    known = [
        *texts,
        *(file.read_text(encoding="utf-8") for file in sorted(templates._FOLDER.glob("zero_shot.*"))),
        *prompting.NOT_HERE.values(),
        *perturbing.INSTRUCTIONS,
        *perturbing.INSTRUCTIONS_ZH,
    ]
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", "<end>"],
        show_progress=False,
    )
    plain.train_from_iterator(known * 2, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token="<end>",
        pad_token="<pad>",
        chat_template="{{ messages[0]['content'] }}",
    )


@dataclass(frozen=True)
class Served:
    """A server process and the address of its API."""

    url: str
    process: "subprocess.Popen[bytes]"


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real server, ``transformers serve``, which loads the model of ``talk`` when it is first asked for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("serve")
    (folder / "hub").mkdir()
    log = folder / "log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--device", "cpu"]
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=file,
            stderr=file,
            env={**os.environ, "HF_HOME": str(folder)},
        )
    try:
        request.getfixturevalue("talk")  # is trained while the server starts
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield Served(f"http://127.0.0.1:{port}/v1", server)
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")
