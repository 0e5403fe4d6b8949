"""Reconciling a folder with an index, on real files with the hashing encoder (no model is loaded)."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.encoders.hashing import HashingEncoder
from ragqa.errors import IndexMismatch, UsageError
from ragqa.generations import open_generation
from ragqa.indexing import CATALOG, IndexReport, build_index
from ragqa.pipeline import load_pipeline
from ragqa.types import Query

HASHING = Config.from_values({"encoder": "hashing"})
QUERIES = ["glacier moraine", "Which passenger train?", "苹果树 何时 开花", "zzz", "the of and"]

CAT = "The cat sat on the mat. It slept there until noon.\n\nThen it caught a mouse."
TRAIN = "# Trains\n\nThe night train leaves at ten.\n\n## Tickets\n\nA ticket costs four crowns."
APPLE = "苹果树在四月开花。果实在九月成熟。"

Hits = list[list[tuple[str, float, dict[str, float]]]]


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make ``folder`` hold exactly ``files``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return folder


def hits(index: Path, queries: Sequence[str] = QUERIES) -> Hits:
    with load_pipeline(index) as pipeline:
        found = pipeline.retrieve([Query(q) for q in queries], 50)
    return [[(hit.passage.id, hit.score, dict(hit.legs)) for hit in mine] for mine in found]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write(tmp_path / "docs", {"cat.txt": CAT, "train.md": TRAIN, "apple.txt": APPLE})


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the encoder is given, in order."""
    texts: list[str] = []
    encode = HashingEncoder.encode_passages

    def recording(self: HashingEncoder, batch: Sequence[str]) -> Any:
        texts.extend(batch)
        return encode(self, batch)

    monkeypatch.setattr(HashingEncoder, "encode_passages", recording)
    return texts


def index(docs: Path, **options: Any) -> IndexReport:
    config = options.pop("config", HASHING)
    return build_index([docs], docs.parent / "index", config, **options)


_words = st.sampled_from(["glacier", "moraine", "train", "passenger", "the", "苹果", "开花", "zinc", "1848"])
_paragraph = st.lists(_words, min_size=1, max_size=12).map(lambda words: " ".join(words) + ".")
_text = st.lists(_paragraph, min_size=1, max_size=4).map("\n\n".join)
_folders = st.dictionaries(st.sampled_from(["a.txt", "b.md", "c.txt", "d.md"]), _text, min_size=1, max_size=4)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=_folders, after=_folders)
def test_the_past_of_an_index_does_not_show(before: dict[str, str], after: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        docs, stepwise, at_once = (Path(name) / part for part in ("docs", "stepwise", "at_once"))
        build_index([write(docs, before)], stepwise, HASHING)
        report = build_index([write(docs, after)], stepwise, HASHING)
        build_index([docs], at_once, HASHING)
        assert hits(stepwise) == hits(at_once)
        assert report.published == (before != after)
        assert report.removed == len(before.keys() - after.keys())
        assert report.added == len(after.keys() - before.keys())


def test_every_passage_is_a_slice_of_its_document(docs: Path) -> None:
    index(docs)
    with (
        open_generation(docs.parent / "index") as generation,
        Catalog(generation.verified(CATALOG)) as catalog,
    ):
        passages = list(catalog.all_passages())
        assert {p.doc_id for p in passages} == {"docs/apple.txt", "docs/cat.txt", "docs/train.md"}
        for passage in passages:
            assert catalog.document(passage.doc_id).text[passage.start : passage.end] == passage.text


def test_an_unchanged_folder_publishes_and_embeds_nothing(docs: Path, embedded: list[str]) -> None:
    first = index(docs)
    assert first.published
    assert len(embedded) == first.embedded == first.counts.passages > 0
    embedded.clear()
    current = (docs.parent / "index" / "CURRENT").read_bytes()
    second = index(docs)
    assert (second.published, second.embedded, second.unchanged) == (False, 0, 3)
    assert second.counts == first.counts
    assert embedded == []
    assert (docs.parent / "index" / "CURRENT").read_bytes() == current


def test_touching_a_file_is_no_change(docs: Path) -> None:
    index(docs)
    (docs / "cat.txt").touch()
    assert not index(docs).published


def test_a_changed_file_embeds_only_its_new_text(docs: Path, embedded: list[str]) -> None:
    index(docs)
    embedded.clear()
    (docs / "train.md").write_text(TRAIN.replace("four crowns", "five crowns"), encoding="utf-8")
    report = index(docs)
    assert (report.changed, report.added, report.removed, report.unchanged) == (1, 0, 0, 2)
    assert len(embedded) == report.embedded == 1
    assert "five crowns" in embedded[0]
    assert "night train" not in embedded[0]


def test_a_removed_file_disappears(docs: Path) -> None:
    index(docs)
    (docs / "apple.txt").unlink()
    report = index(docs)
    assert (report.removed, report.embedded) == (1, 0)
    assert not any(
        id_.startswith("docs/apple.txt") for found in hits(docs.parent / "index") for id_, *_ in found
    )
    with (
        open_generation(docs.parent / "index") as generation,
        Catalog(generation.verified(CATALOG)) as catalog,
    ):
        assert "docs/apple.txt" not in catalog.files()


def test_equal_texts_are_embedded_once_and_both_found(tmp_path: Path, embedded: list[str]) -> None:
    docs = write(tmp_path / "docs", {"one/cat.txt": CAT, "two/cat.txt": CAT, "apple.txt": APPLE})
    report = index(docs)
    assert report.counts.passages > report.embedded == len(embedded) == len(set(embedded))
    first = hits(tmp_path / "index", ["cat mouse"])[0]
    assert {"docs/one/cat.txt", "docs/two/cat.txt"} == {id_.rpartition(":")[0] for id_, *_ in first[:2]}
    assert first[0][2] == first[1][2]


def test_a_moved_file_embeds_nothing(docs: Path, embedded: list[str]) -> None:
    index(docs)
    embedded.clear()
    (docs / "animals").mkdir()
    (docs / "cat.txt").rename(docs / "animals" / "cat.txt")
    report = index(docs)
    assert (report.added, report.removed, report.embedded) == (1, 1, 0)
    assert embedded == []


BROKEN: dict[str, str | bytes] = {
    "broken.docx": b"PK\x03\x04 this is no archive",
    "broken.pdf": b"%PDF-1.7\n garbage",
}


def test_broken_files_are_named_and_the_rest_is_indexed(tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", {**BROKEN, "cat.txt": CAT})
    report = index(docs)
    assert sorted(s.path.name for s in report.skipped) == sorted(BROKEN)
    for skipped in report.skipped:
        assert skipped.path.name in skipped.reason
        assert "\n" not in skipped.reason
    assert (report.counts.skipped, report.counts.documents, report.added) == (2, 1, 1)
    again = index(docs)
    assert not again.published
    assert sorted(s.reason for s in again.skipped) == sorted(s.reason for s in report.skipped)


def test_a_file_read_in_part_is_named_again_until_it_is_mended(tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", {"notes.jsonl": '{"text": "The walrus has tusks."}\n{broken\n'})
    for report in (index(docs), index(docs)):
        (skipped,) = report.skipped
        assert skipped.in_part
        assert "notes.jsonl: line 2 is not JSON" in skipped.reason
        assert (report.counts.documents, report.counts.skipped) == (1, 0)
    assert not report.published
    (docs / "notes.jsonl").write_text('{"text": "The walrus has tusks."}\n', encoding="utf-8")
    assert index(docs).skipped == ()


def test_a_mended_file_joins_the_index(tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", {"cat.txt": CAT, "note.jsonl": "{not json"})
    assert len(index(docs).skipped) == 1
    (docs / "note.jsonl").write_text('{"text": "The walrus has tusks."}\n', encoding="utf-8")
    report = index(docs)
    assert (report.skipped, report.changed, report.counts.documents) == ((), 1, 2)
    assert hits(tmp_path / "index", ["walrus"])[0][0][0].startswith("docs/note.jsonl")


def test_a_file_that_breaks_leaves_the_index(docs: Path) -> None:
    index(docs)
    (docs / "cat.txt").write_bytes(b"\x00\xff\xfe\x00" * 50)
    report = index(docs)
    assert [s.path.name for s in report.skipped] == ["cat.txt"]
    assert not any(
        id_.startswith("docs/cat.txt") for found in hits(docs.parent / "index") for id_, *_ in found
    )


@pytest.mark.parametrize("files", [{}, BROKEN, {"blank.txt": "  \n\n "}], ids=["empty", "broken", "blank"])
def test_a_folder_without_any_readable_file_is_refused_and_the_old_index_answers(
    docs: Path, files: dict[str, str | bytes]
) -> None:
    index(docs)
    before = hits(docs.parent / "index")
    write(docs, files)
    with pytest.raises(UsageError, match="no readable document") as caught:
        index(docs)
    assert str(docs) in str(caught.value)
    assert caught.value.accepted
    assert caught.value.next_step
    assert hits(docs.parent / "index") == before


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        index(tmp_path / "nowhere")
    assert not (tmp_path / "index" / "CURRENT").exists()


OTHERS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"encoder": {"name": "hashing", "dimensions": 64}},
        f'encoder "{HashingEncoder().fingerprint}"',
        HashingEncoder(dimensions=64).fingerprint,
    ),
    ({"encoder": "hashing", "splitter": "whole"}, 'splitter.name "headings"', 'asks for "whole"'),
    (
        {"encoder": "hashing", "splitter": {"max_passage_tokens": 99}},
        "max_passage_tokens unset",
        "asks for 99",
    ),
    ({"encoder": "hashing", "store": "numpy"}, 'store.name "faiss"', 'asks for "numpy"'),
    ({"encoder": "hashing", "lexical": {"k1": 0.9}}, "lexical.k1 unset", "asks for 0.9"),
]


@pytest.mark.parametrize(("values", "made", "asked"), OTHERS, ids=[made for _, made, _ in OTHERS])
def test_another_configuration_names_both_values_and_the_command(
    tmp_path: Path, values: dict[str, Any], made: str, asked: str
) -> None:
    docs = write(tmp_path / "my docs", {"cat.txt": CAT})
    index(docs)
    before = hits(docs.parent / "index")
    other = Config.from_values(values)
    with pytest.raises(IndexMismatch) as caught:
        index(docs, config=other)
    assert made in caught.value.found
    assert asked in caught.value.found
    assert caught.value.next_step == f"ragqa index --rebuild '{docs}' --index {tmp_path / 'index'}"
    with pytest.raises(IndexMismatch):
        load_pipeline(tmp_path / "index", other)
    assert hits(tmp_path / "index") == before
    assert index(docs, config=other, rebuild=True).published
    assert not index(docs, config=other).published


def test_another_reader_or_fusion_is_kept_without_embedding_anything(docs: Path, embedded: list[str]) -> None:
    index(docs)
    embedded.clear()
    other = Config.from_values({"encoder": "hashing", "fusion": {"dense_weight": 0.25}})
    report = index(docs, config=other)
    assert (report.published, report.embedded, embedded) == (True, 0, [])
    with load_pipeline(docs.parent / "index") as pipeline:
        assert pipeline.config.fusion.dense_weight == 0.25


def test_rebuilding_reads_and_embeds_everything(docs: Path, embedded: list[str]) -> None:
    first = index(docs)
    embedded.clear()
    again = index(docs, rebuild=True)
    assert again.published
    assert again.embedded == len(embedded) == first.embedded


def test_embedding_again_with_another_encoder_equals_an_index_made_with_it(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Config.from_values({"encoder": {"name": "hashing", "dimensions": 32}})
    index(docs)
    with monkeypatch.context() as patched:
        patched.setattr("ragqa.indexing._add_file", lambda *_: pytest.fail("a file was read again"))
        report = index(docs, config=other, reembed=True)
    assert report.published
    assert report.embedded == report.counts.passages
    again = hits(tmp_path / "index")
    shutil.rmtree(tmp_path / "index")
    index(docs, config=other)
    assert hits(tmp_path / "index") == again
    whole = Config.from_values({"encoder": {"name": "hashing", "dimensions": 32}, "splitter": "whole"})
    with pytest.raises(IndexMismatch, match="splitter"):
        index(docs, config=whole, reembed=True)


def test_raising_a_limit_reads_the_file_that_was_beyond_it(tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", {"cat.txt": CAT, "long.txt": "The walrus has tusks.\n" * 60_000})
    small = Config.from_values({"encoder": "hashing", "loading": {"max_file_mb": 1}})
    assert [s.path.name for s in index(docs, config=small).skipped] == ["long.txt"]
    report = index(docs, config=HASHING)
    assert report.skipped == ()
    assert report.counts.documents == 2


def test_a_file_that_changed_while_read_is_read_again_next_time(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragqa import isolation

    real = isolation.LoaderProcess._parts

    def while_written(self: isolation.LoaderProcess, path: Path, doc_id: str) -> Any:
        documents = real(self, path, doc_id)
        if path.name == "cat.txt":
            path.write_text(path.read_text(encoding="utf-8") + " More.", encoding="utf-8")
        return documents

    with monkeypatch.context() as patched:
        patched.setattr(isolation.LoaderProcess, "_parts", while_written)
        report = index(docs)
    assert ["changed while being read" in s.reason for s in report.skipped] == [True]
    report = index(docs)
    assert report.skipped == ()
    assert report.counts.documents == 3


def test_progress_counts_up_to_the_total(docs: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    index(docs, progress=lambda *step: seen.append(step))
    for stage in ("reading", "embedding"):
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1] > 0


def test_blocks_of_texts_reach_their_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{word} stands alone here." for word in ("zinc", "iron", "gold", "iron", "lead", "gold", "tin")]
    monkeypatch.setattr("ragqa.embedding._ENCODE_ROWS", 2)  # as a large index does with thousands
    docs = write(tmp_path / "docs", {f"{n}/metal.txt": text for n, text in enumerate(texts)})
    assert index(docs).embedded == 5
    by_blocks = hits(tmp_path / "index", ["gold", "iron", "tin"])
    monkeypatch.setattr("ragqa.embedding._ENCODE_ROWS", 2048)
    build_index([docs], tmp_path / "other", HASHING)
    assert by_blocks == hits(tmp_path / "other", ["gold", "iron", "tin"])
