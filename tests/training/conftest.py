"""A tiny BERT and a handful of questions in SQuAD's form, so that whole training runs take a second."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel

ANIMALS = ("walrus", "badger", "heron", "otter", "lynx", "toad")
PLACES = ("forest", "harbour", "meadow", "desert", "valley", "island")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order, whatever else this machine does."""
    torch.set_num_threads(1)


def paragraph(document: int, number: int) -> str:
    animal, place = ANIMALS[document], PLACES[(document + number) % 6]
    first = f"The {animal} of group {number} lives in the {place}."
    return f"{first} It was seen {number + 3} times in 19{document}{number}."


def squad(documents: int = 6, paragraphs: int = 3) -> dict[str, object]:
    """Two questions on each paragraph: where the animal lives, and how often it was seen."""
    data = []
    for document in range(documents):
        found = []
        for number in range(paragraphs):
            text, place = paragraph(document, number), PLACES[(document + number) % 6]
            asked = [
                (f"Where does the {ANIMALS[document]} of group {number} live?", f"the {place}"),
                (f"How often was the {ANIMALS[document]} of group {number} seen?", f"{number + 3} times"),
            ]
            qas = [
                {
                    "id": f"{document}-{number}-{k}",
                    "question": question,
                    "answers": [{"text": answer, "answer_start": text.index(answer)}],
                }
                for k, (question, answer) in enumerate(asked)
            ]
            found.append({"context": text, "qas": qas})
        data.append({"title": f"{ANIMALS[document]}_notes", "paragraphs": found})
    return {"version": "1.1", "data": data}


@pytest.fixture(scope="session")
def bert_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Iterable[str]], Path]:
    """A name and the pieces of a vocabulary → a folder with a random BERT of one layer and its tokenizer."""

    def make(name: str, pieces: Iterable[str]) -> Path:
        folder = tmp_path_factory.mktemp("tiny") / name
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = {piece: row for row, piece in enumerate(dict.fromkeys([*special, *pieces]))}
        tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
        tokenizer.add_special_tokens(special)
        torch.manual_seed(5)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=384,
        )
        BertModel(config).save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_bert(bert_of: Callable[[str, Iterable[str]], Path]) -> Path:
    """A random BERT that knows the words of the questions, and letters."""
    words = " ".join(paragraph(d, n).lower().replace(".", " ") for d in range(6) for n in range(3)).split()
    return bert_of("tiny-bert", [*".?_", *LETTERS, *(f"##{c}" for c in LETTERS), *sorted(words)])


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 questions on six documents, in SQuAD's form."""
    path = tmp_path_factory.mktemp("squad") / "animals.json"
    path.write_text(json.dumps(squad()), encoding="utf-8")
    return path


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from ragqa.training import run, run_files, settings, trainer

torch.set_num_threads(1)
path, target, at = sys.argv[1:]
update = trainer.Trainer._update

def fatal(self, batches, rate):
    if self.step == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, batches, rate)

trainer.Trainer._update = fatal
run.finetune(run_files.load_run(Path(path), settings.RUNS[target]), resume=False, report=print)
"""


@pytest.fixture
def kill_at() -> Callable[[Path, str, int], None]:
    """Begin the run of a YAML file in a process of its own, which dies at a step."""

    def kill(path: Path, target: str, step: int) -> None:
        command = [sys.executable, "-c", _KILLED, str(path), target, str(step)]
        child = subprocess.run(command, env=os.environ, capture_output=True, check=False)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()

    return kill
