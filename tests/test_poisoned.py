"""Documents that give orders, beside those that answer; ``test_served`` asks a server's model of them."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ragqa import plugins
from ragqa.config import Config
from ragqa.drafts import Draft
from ragqa.evaluation.perturbing import DECOY, DECOY_ZH
from ragqa.indexing import build_index
from ragqa.pipeline import load_pipeline
from ragqa.protocols import Reader
from ragqa.types import Answer, Hit, Passage, Query

TEXT = "The Orchard Bridge was designed by Maria Keller. It opened in 1931."
TOLD = Hit(Passage("bridge.md", 0, len(TEXT), TEXT, "The Orchard Bridge"), 1.0)
QUERY = Query("Who designed the Orchard Bridge?")
READ = ("bm25.md", "lora.md", "pretraining.md", "calibration.md")


def hit_of(text: str) -> Hit:
    return Hit(Passage("order.md", 0, len(text), text), 0.4)


def said(answer: Answer) -> tuple[str | None, list[str]]:
    return answer.text, [citation.quote for citation in answer.citations]


@pytest.mark.parametrize("name", ["extractive", "generative"])
def test_no_order_among_the_hits_changes_an_answer(orders: list[str], name: str) -> None:
    reader: Reader = plugins.build("readers", {"name": name})
    first, *others = reader.read(
        [QUERY] * (len(orders) + 1), [[TOLD], *([TOLD, hit_of(text)] for text in orders)]
    )
    assert first.text is not None
    assert "Maria Keller" in first.text
    assert [said(answer) for answer in others] == [said(first)] * len(orders)


def test_a_language_model_answers_by_its_prompt_and_not_by_orders(
    talk: Any, ordered: Path, orders: list[str]
) -> None:
    overrides = ["reader.name=generative", f"reader.model={talk.model}"]
    with load_pipeline(ordered, overrides=overrides) as pipeline:
        answers = pipeline.ask_many([Query(question) for question in talk.answers])
        assert [answer.text for answer in answers] == list(talk.answers.values())
        beside = pipeline.read([QUERY] * len(orders), [[TOLD, hit_of(text)] for text in orders])
    assert [said(answer) for answer in beside] == [("Maria Keller", ["Maria Keller"])] * len(orders)


class Obedient:
    """A model that does what it is told: answers with the false name where that stands in the prompt."""

    def write(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]], *_: Any, **__: Any
    ) -> list[Draft]:
        return [self._draft(tuple(mine)) for mine in passages]

    @staticmethod
    def _draft(passages: tuple[Passage, ...]) -> Draft:
        prompt = " ".join(passage.text for passage in passages)
        text = next((decoy for decoy in (DECOY, DECOY_ZH) if decoy in prompt), "Maria Keller")
        return Draft(text, math.log(0.9), passages, 0, is_cut=False)


def test_an_obedient_model_is_held_by_the_words_found(
    monkeypatch: pytest.MonkeyPatch, orders: list[str]
) -> None:
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: Obedient())
    hits = [[TOLD, hit_of(text)] for text in orders[::5]]
    alone = plugins.build("readers", {"name": "generative"}).read([QUERY] * len(hits), hits)
    for answer in alone:  # nothing holds it here, but its source shows
        assert answer.text in (DECOY, DECOY_ZH)
        assert answer.citations[0].doc_id == "order.md"
    held = plugins.build("readers", {"name": "auto"}).read([QUERY] * len(hits), hits)
    assert all(answer.text == "Maria Keller" for answer in held)
    assert all(answer.citations[0].doc_id == "bridge.md" for answer in held)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["extractive", "generative", "auto"])
def test_documents_that_give_orders_change_no_answer_of_a_handbook(
    orders: list[str], tmp_path: Path, name: str
) -> None:
    lines = (Path(__file__).parent / "kb_questions.jsonl").read_text(encoding="utf-8").splitlines()
    known = {f"kb/handbook/{file}" for file in READ}
    queries = [Query(r["question"]) for r in map(json.loads, lines) if r["document"] in known]
    (tmp_path / "docs").mkdir()
    for file in READ:
        shutil.copy(Path(__file__).parents[1] / "kb" / "handbook" / file, tmp_path / "docs")
    answers = []
    for added in ([], orders):
        for number, text in enumerate(added):
            (tmp_path / "docs" / f"order{number:02}.md").write_text(text, encoding="utf-8")
        build_index([tmp_path / "docs"], tmp_path / "index", Config())
        with load_pipeline(tmp_path / "index", overrides=[f"reader.name={name}"]) as pipeline:
            answers.append([said(answer) for answer in pipeline.ask_many(queries)])
    assert answers[0] == answers[1]
    assert sum(text is not None for text, _ in answers[0]) > 25
