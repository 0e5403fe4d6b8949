"""Chinese questions train models whose vocabulary holds Chinese, and no others."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ragqa.errors import DataError
from ragqa.literacy import HAN_LITERACY
from ragqa.quoting import LEXICAL_NOTE
from ragqa.readers.extractive import ExtractiveReader
from ragqa.rerankers.cross_encoder import LEG, CrossEncoderReranker
from ragqa.training.recalibrating import calibrate_reader
from ragqa.training.run import finetune
from ragqa.training.schedule import Schedule
from ragqa.training.settings import ReaderRun, RerankerRun
from ragqa.types import Hit, Passage, Query

ANIMALS = "鹿狐狼熊鹰獾"
PLACES = ("森林", "海港", "草地", "沙漠", "山谷", "小岛")


def passage(document: int, number: int) -> str:
    return f"第{number}组的{ANIMALS[document]}住在{PLACES[(document + number) % 6]}。它们有{number + 3}只。"


@pytest.fixture(scope="session")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 questions in Chinese on six documents, in ragqa's own form."""
    path = tmp_path_factory.mktemp("chinese") / "animals.jsonl"
    lines = []
    for document, animal in enumerate(ANIMALS):
        for number in range(3):
            text = passage(document, number)
            asked = {
                f"第{number}组的{animal}住在哪里？": PLACES[(document + number) % 6],
                f"第{number}组的{animal}有几只？": f"{number + 3}只",
            }
            lines += [
                {"question": question, "answers": [answer], "passage": text, "document": animal}
                for question, answer in asked.items()
            ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def chinese_bert(bert_of: Callable[[str, Iterable[str]], Path]) -> Path:
    """A random BERT that knows as many Han characters as a model for Chinese does."""
    used = "".join(passage(d, n) for d in range(6) for n in range(3)) + "哪里有几只"
    common = map(chr, range(0x4E00, 0x4E00 + HAN_LITERACY))
    return bert_of("tiny-chinese-bert", [*"。？?0123456789", *used, *common])


def settings(data: Path, backbone: Path, output: Path) -> dict[str, Any]:
    return {
        "data": (data,),
        "backbone": str(backbone),
        "output": output,
        "start_from": None,
        "storage": "float32",
        "validation_documents": 1,
        "test_documents": 0,
        "hard_negatives": 2,
        "schedule": Schedule(epochs=1, batch_groups=12),
    }


def hits(*numbers: int) -> list[Hit]:
    texts = [passage(2, number) for number in numbers]
    return [Hit(Passage("狼", 0, len(text), text), 0.5) for text in texts]


def test_a_reader_trained_on_an_encoder_of_chinese_reads_chinese_itself(
    tmp_path: Path, chinese_bert: Path, chinese: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ReaderRun(**settings(chinese, chinese_bert, tmp_path))
    model = finetune(run, resume=False, report=lambda _: None).model
    reader = ExtractiveReader(model=str(model), threshold=0)
    (answer,) = reader.read([Query("第1组的狼住在哪里？")], [hits(0, 1, 2)])
    assert answer.note != LEXICAL_NOTE
    assert "null_margin" in answer.details

    # Nor is it asked anything else when its confidence is fitted anew.
    monkeypatch.setattr("ragqa.training.targets.reader.LEAST_TO_CALIBRATE", 5)
    told: list[dict[str, Any]] = []
    calibrate_reader(ReaderRun(data=(chinese,)), model, told.append)
    assert not any("left out" in values for values in told)
    assert any("retrieval_weight" in values for values in told)


def test_a_reranker_trained_on_an_encoder_of_chinese_reads_chinese_itself(
    tmp_path: Path, chinese_bert: Path, chinese: Path
) -> None:
    run = RerankerRun(**settings(chinese, chinese_bert, tmp_path))
    reranker = CrossEncoderReranker(model=str(finetune(run, resume=False, report=lambda _: None).model))
    (found,) = reranker.rerank([Query("第1组的狼住在哪里？")], [hits(0, 1, 2)])
    assert all(LEG in hit.legs for hit in found)


def test_chinese_questions_are_left_out_where_the_vocabulary_holds_no_chinese(
    tmp_path: Path, tiny_bert: Path, chinese: Path, questions: Path
) -> None:
    with pytest.raises(DataError, match="all 36 questions have Chinese, which the vocabulary of"):
        finetune(
            ReaderRun(**settings(chinese, tiny_bert, tmp_path / "none")),
            resume=False,
            report=lambda _: None,
        )

    both = {**settings(chinese, tiny_bert, tmp_path / "both"), "data": (chinese, questions)}
    told: list[dict[str, Any]] = []
    finetune(ReaderRun(**both), resume=False, report=told.append)
    assert sum("has Chinese, which" in str(values.get("left out")) for values in told) == 36
    counts = next(values for values in told if "training_questions" in values)
    assert counts["training_questions"] + counts["validation_questions"] == 36
