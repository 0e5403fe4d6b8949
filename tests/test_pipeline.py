"""The whole way as shipped: real files, the builtin encoder, the shipped reader, and no network."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.errors import IndexMissing, UsageError
from ragqa.generations import open_generation
from ragqa.indexing import CATALOG, build_index
from ragqa.pipeline import MAX_QUERY_CHARACTERS, Pipeline, check_query, load_pipeline
from ragqa.reports import answer_record, explanation
from ragqa.types import Query

BRIDGE = """# The Orchard Bridge

The Orchard Bridge was designed by Maria Keller. It opened in 1931.

## Upkeep

Every spring the railings are painted green by volunteers of the rowing club.
"""
LIBRARY = "The town library lends every reader twelve books for four weeks.\n\nIt is closed on Mondays.\n"
APPLE = "# 果园\n\n苹果树在四月开花。果实在九月成熟。\n\n## 浇水\n\n夏天每周浇水两次。\n"
PAGES = (
    "The ferry to Harbour Island leaves at noon.",
    "Tickets for the night train are sold by Anna Lindholm in the harbour office.",
)
ASKED = (
    "Who designed the Orchard Bridge?",
    "How many books does the library lend?",
    "Who sells tickets for the night train?",
    "苹果树在几月开花？",
    "What is the melting point of tungsten carbide?",
    "zzz qqq",
    "?",
)


def pdf(pages: tuple[str, ...]) -> bytes:
    """A PDF with one line of text on each page."""
    count = len(pages)
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(count))
    font = f"{3 + 2 * count} 0 R"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>"]
    for n, text in enumerate(pages):
        shown = f"BT /F1 11 Tf 40 700 Td ({text}) Tj ET"
        resources = f"<< /Font << /F1 {font} >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {4 + 2 * n} 0 R "
            f"/Resources {resources} >>"
        )
        objects.append(f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    written, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return written + f"{end}startxref\n{len(written)}\n%%EOF\n".encode("latin-1")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with the default configuration."""
    folder = tmp_path_factory.mktemp("pipeline")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "bridge.md").write_text(BRIDGE, encoding="utf-8")
    (docs / "library.txt").write_text(LIBRARY, encoding="utf-8")
    (docs / "果园.md").write_text(APPLE, encoding="utf-8")
    (docs / "ferry.pdf").write_bytes(pdf(PAGES))
    report = build_index([docs], folder / "index", Config())
    assert report.skipped == ()
    assert report.counts.documents == 4
    return folder / "index"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket fails."""

    def refused(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture
def pipeline(index: Path, offline: None) -> Iterator[Pipeline]:
    with load_pipeline(index) as opened:
        yield opened


def test_every_citation_and_every_hit_is_a_slice_of_its_document(pipeline: Pipeline, index: Path) -> None:
    with open_generation(index) as generation, Catalog(generation.verified(CATALOG)) as catalog:
        for question in ASKED:
            answer = pipeline.ask(question)
            assert len(answer.citations) == (answer.text is not None)
            for citation in answer.citations:
                document = catalog.document(citation.doc_id)
                assert document.text[citation.start : citation.end] == citation.quote == answer.text
                assert citation.page == document.page_at(citation.start)
            for hit in answer.hits:
                text = catalog.document(hit.passage.doc_id).text
                assert text[hit.passage.start : hit.passage.end] == hit.passage.text
            scores = [hit.score for hit in answer.hits]
            assert scores == sorted(scores, reverse=True)
            assert 0 <= answer.confidence <= 1


def test_a_plain_question_is_answered_with_its_source(pipeline: Pipeline) -> None:
    answer = pipeline.ask("Who designed the Orchard Bridge?")
    assert answer.text is not None
    assert "Keller" in answer.text
    (citation,) = answer.citations
    assert (citation.doc_id, citation.page) == ("docs/bridge.md", None)
    assert answer.sentence == "The Orchard Bridge was designed by Maria Keller."
    assert answer.hits[0].passage.title == "The Orchard Bridge"


def test_an_answer_in_a_pdf_names_its_page(pipeline: Pipeline) -> None:
    answer = pipeline.ask("Who sells tickets for the night train?")
    assert answer.text is not None
    assert "Lindholm" in answer.text
    assert (answer.citations[0].doc_id, answer.citations[0].page) == ("docs/ferry.pdf", 2)


def test_what_the_documents_do_not_say_is_refused(pipeline: Pipeline) -> None:
    answer = pipeline.ask("What is the melting point of tungsten carbide?")
    assert (answer.text, answer.citations) == (None, ())
    assert answer.hits  # the nearest passages are still shown


def test_a_chinese_question_is_answered_lexically_and_says_so(pipeline: Pipeline) -> None:
    answer = pipeline.ask("苹果树在几月开花？")
    assert answer.text == "苹果树在四月开花。"
    assert answer.citations[0].doc_id == "docs/果园.md"
    assert "Chinese" in answer.note
    assert all("dense" not in hit.legs for hit in answer.hits)  # the encoder cannot read the question


def test_top_k_is_a_ceiling(pipeline: Pipeline) -> None:
    assert len(pipeline.ask("the library", top_k=1).hits) == 1
    assert len(pipeline.ask("the library", top_k=500).hits) <= pipeline.retriever.catalog.counts.passages
    assert len(pipeline.ask("the library").hits) <= pipeline.config.top_k
    with pytest.raises(UsageError, match="top-k 0"):
        pipeline.ask("the library", top_k=0)


def test_many_questions_get_the_answers_they_get_alone(pipeline: Pipeline) -> None:
    together = pipeline.ask_many([Query(q) for q in ASKED])
    for question, answer in zip(ASKED, together, strict=True):
        alone = pipeline.ask(question)
        assert (alone.text, alone.citations) == (answer.text, answer.citations)
        assert [h.passage.id for h in alone.hits] == [h.passage.id for h in answer.hits]


def test_a_record_has_the_promised_keys(pipeline: Pipeline) -> None:
    pipeline.timings.seconds.clear()
    question = "Who sells tickets for the night train?"
    record = json.loads(json.dumps(answer_record(question, pipeline.ask(question), pipeline)))
    promised = {"query", "answer", "confidence", "citations", "hits", "timings"}
    assert record.keys() == promised | {"sentence", "sentences", "note"}
    assert record["query"] == question
    assert all(c.keys() == {"document", "page", "start", "end", "quote"} for c in record["citations"])
    for hit in record["hits"]:
        assert hit.keys() == {"document", "title", "page", "start", "end", "text", "score", "legs"}
        assert hit["legs"].keys() <= {"dense", "bm25"}
    assert {"encode", "dense", "bm25", "fuse", "read"} <= record["timings"].keys()
    assert all(seconds >= 0 for seconds in record["timings"].values())
    refused = answer_record("?", pipeline.ask(ASKED[4]), pipeline)
    assert (refused["answer"], refused["citations"], refused["sentence"]) == (None, [], None)


def test_an_explanation_shows_the_ranks_of_each_leg(pipeline: Pipeline) -> None:
    question = "Who designed the Orchard Bridge?"
    answer = pipeline.ask(question, top_k=2)
    why = explanation(pipeline, question, answer)
    assert [e.hit.passage.id for e in why.hits[:2]] == [h.passage.id for h in answer.hits]
    assert [e.read for e in why.hits] == [True, True] + [False] * (len(why.hits) - 2)
    assert len(why.hits) > 2
    first = why.hits[0]
    assert first.ranks == {"dense": 1, "bm25": 1}
    assert {"orchard", "bridg"} <= set(first.matched) <= set(why.terms)
    assert json.loads(json.dumps(why.as_json()))["hits"][0]["ranks"] == {"dense": 1, "bm25": 1}
    text = "\n".join(why.lines())
    for part in ("null_margin", first.hit.passage.id, "near miss", "read"):
        assert part in text


@pytest.mark.parametrize("question", ["", "  \n\t ", "x" * (MAX_QUERY_CHARACTERS + 1)])
def test_what_is_no_question_is_refused(pipeline: Pipeline, question: str) -> None:
    with pytest.raises(UsageError) as caught:
        pipeline.ask(question)
    assert "10,000" in caught.value.accepted
    assert len(str(caught.value)) < 300


def test_a_question_longer_than_the_encoder_reads_is_still_answered(pipeline: Pipeline) -> None:
    assert check_query(" a ") == "a"
    assert len(check_query("x" * MAX_QUERY_CHARACTERS)) == MAX_QUERY_CHARACTERS
    assert pipeline.ask("library " * 200).hits
    assert pipeline.ask("library " * 1200).hits


def test_a_missing_index_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="ragqa index PATH"):
        load_pipeline(tmp_path / "none")


def test_a_question_may_change_the_fusion_but_not_the_encoder(index: Path) -> None:
    with load_pipeline(index, None, ["fusion.dense_weight=0.0", "top_k=1"]) as opened:
        assert len(opened.ask("library").hits) == 1
        assert opened.config.fusion.dense_weight == 0


OUTSIDE = """
import json, sys
from pathlib import Path
from ragqa.pipeline import load_pipeline
with load_pipeline(Path(sys.argv[1])) as pipeline:
    texts = [pipeline.ask(question).text for question in sys.argv[2:]]
print(json.dumps([texts, sorted(sys.modules)]))
"""


def asked_outside(index: Path, *before: str) -> tuple[list[str | None], set[str]]:
    """Answers and imported modules of a fresh process."""
    command = [*before, sys.executable, "-c", OUTSIDE, str(index), ASKED[0], ASKED[4]]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    texts, modules = json.loads(done.stdout.splitlines()[-1])
    return texts, set(modules)


def test_asking_imports_no_training_library(index: Path, pipeline: Pipeline) -> None:
    pipeline.ask(ASKED[0])  # compiles the models, if this machine has not yet
    texts, modules = asked_outside(index)
    assert not modules & {"torch", "transformers", "peft", "sentence_transformers", "nncf", "requests"}
    assert texts[0] is not None
    assert texts[1] is None


def test_asking_works_without_any_network_device(index: Path, pipeline: Pipeline) -> None:
    pipeline.ask(ASKED[0])
    unshare = shutil.which("unshare")
    if (
        unshare is None
        or subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine lets nobody unshare its network")
    texts, _ = asked_outside(index, unshare, "-n")
    assert texts[0] is not None
    assert "Keller" in texts[0]
