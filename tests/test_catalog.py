"""The catalog gives back what was put in, in an order that depends on nothing but its contents."""

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.catalog import Catalog, Counts, FileRecord
from ragqa.catalog_writer import CatalogWriter
from ragqa.errors import DocumentError, IndexDamaged
from ragqa.types import Document, Heading, Passage, Span

Contents = list[tuple[Document, list[Passage]]]

# Any character that UTF-8 can carry: lone surrogates are refused, see below.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.integers(0, 2**40)


@st.composite
def contents_of_file(draw: st.DrawFn, path: str) -> Contents:
    found: Contents = []
    for place in range(draw(st.integers(0, 3))):
        text = draw(texts)
        document = Document(
            id=f"{path}#{place}",
            text=text,
            title=draw(texts),
            source=path,
            meta=draw(
                st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts, max_size=2))
            ),
            headings=tuple(draw(st.lists(st.builds(Heading, numbers, st.integers(1, 6), texts), max_size=2))),
            pages=tuple(draw(st.lists(numbers, max_size=3))),
            rows=tuple(draw(st.lists(st.builds(Span, numbers, numbers), max_size=2))),
        )
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        spans = list(itertools.pairwise(cuts))
        draw(st.randoms(use_true_random=False)).shuffle(spans)
        found.append((document, [Passage(document.id, a, b, text[a:b], draw(texts)) for a, b in spans]))
    return found


@st.composite
def folders(draw: st.DrawFn) -> dict[str, Contents]:
    """Path → what its file holds."""
    return {
        path: draw(contents_of_file(path)) for path in draw(st.sets(st.sampled_from("abcdé汉"), max_size=4))
    }


def record(path: str, error: str = "") -> FileRecord:
    return FileRecord(path, sha256=path * 3, size=len(path), mtime_ns=17, error=error)


def write(path: Path, folder: dict[str, Contents], order: Sequence[str] | None = None) -> Counts:
    with CatalogWriter(path) as writer:
        for name in order or list(folder):
            writer.add_file(record(name), folder[name])
        return writer.finish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


def one(text: str = "one two", doc_id: str = "d", title: str = "") -> tuple[Document, list[Passage]]:
    return Document(doc_id, text), [Passage(doc_id, 0, len(text), text, title)]


@settings(max_examples=60, deadline=None)
@given(folders())
def test_everything_comes_back_as_it_was_added(folder: dict[str, Contents]) -> None:
    with TemporaryDirectory() as place:
        counts = write(Path(place) / "catalog.sqlite", folder)
        everything = [entry for contents in folder.values() for entry in contents]
        with Catalog(Path(place) / "catalog.sqlite") as catalog:
            for document, _ in everything:
                assert catalog.document(document.id) == document
                assert catalog.pages(document.id) == document.pages
            for name, contents in folder.items():
                assert catalog.files()[name].documents == len(contents)
                assert catalog.documents_of_file(name) == tuple(sorted(d.id for d, _ in contents))
            stored = list(catalog.all_passages())
            passages = [passage for _, passages in everything for passage in passages]
            expected = sorted(passages, key=lambda p: (p.doc_id, p.start, p.end, p.title))
            assert stored == expected
            assert catalog.passages(range(len(stored))) == expected
            assert catalog.counts == counts
            assert counts == Counts(
                len(folder), 0, len(everything), len(expected), sum(len(d.text) for d, _ in everything)
            )


@settings(max_examples=60, deadline=None)
@given(before=folders(), after=folders(), common=folders(), order=st.randoms(use_true_random=False))
def test_history_leaves_no_trace(
    before: dict[str, Contents], after: dict[str, Contents], common: dict[str, Contents], order: random.Random
) -> None:
    """A catalog that carries unchanged files over equals, byte for byte, one made from nothing."""
    new = after | common
    unchanged = [name for name in common if order.random() < 0.7]
    shuffled = order.sample(list(new), len(new))
    with TemporaryDirectory() as place:
        old_path, updated, fresh = (Path(place) / name for name in ("old", "updated", "fresh"))
        write(old_path, before | common)
        write(fresh, new)
        with Catalog(old_path) as old, CatalogWriter(updated) as writer:
            for name in shuffled[::2]:
                if name not in unchanged:
                    writer.add_file(record(name), new[name])
            writer.copy_files(old, unchanged)
            for name in shuffled[1::2]:
                if name not in unchanged:
                    writer.add_file(record(name), new[name])
            writer.finish()
        with Catalog(updated) as one, Catalog(fresh) as other:
            assert list(one.all_passages()) == list(other.all_passages())
            assert one.files() == other.files()
        assert updated.read_bytes() == fresh.read_bytes()


@settings(max_examples=60, deadline=None)
@given(mine=folders(), theirs=folders())
def test_rows_in_finds_the_passages_that_the_encoder_would_see_alike(
    mine: dict[str, Contents], theirs: dict[str, Contents]
) -> None:
    with TemporaryDirectory() as place:
        write(Path(place) / "mine", mine)
        write(Path(place) / "theirs", theirs)
        with Catalog(Path(place) / "mine") as here, Catalog(Path(place) / "theirs") as there:
            seen: dict[str, int] = {}
            for row, passage in enumerate(there.all_passages()):
                seen.setdefault(passage.titled_text, row)
            expected = [seen.get(passage.titled_text, -1) for passage in here.all_passages()]
            assert here.rows_in(there).tolist() == expected
            assert here.rows_in(there).dtype == np.int64


def test_the_title_is_part_of_what_vectors_are_reused_by(tmp_path: Path) -> None:
    write(tmp_path / "a", {"f": [one("text", title="Old heading")]})
    write(tmp_path / "b", {"f": [one("text", title="New heading")]})
    with Catalog(tmp_path / "a") as a, Catalog(tmp_path / "b") as b:
        assert a.rows_in(b).tolist() == [-1]
        assert a.rows_in(a).tolist() == [0]


def test_passages_come_in_the_order_asked_for_numpy_rows_included(path: Path) -> None:
    write(path, {"f": [one(f"text {place}", f"d{place}") for place in range(5)]})
    with Catalog(path) as catalog:
        assert [p.text for p in catalog.passages(np.array([4, 0, 4], dtype=np.int64).tolist())] == [
            "text 4",
            "text 0",
            "text 4",
        ]
        assert catalog.passages(list(np.array([1]))) == catalog.passages([1])
        assert catalog.passages([]) == []


@pytest.mark.parametrize("row", [-1, 5, 2**62])
def test_an_unknown_row_is_a_key_error(path: Path, row: int) -> None:
    write(path, {"f": [one(f"text {place}", f"d{place}") for place in range(5)]})
    with Catalog(path) as catalog, pytest.raises(KeyError, match=str(row)):
        catalog.passages([0, row])


def test_unknown_documents_are_key_errors_and_unknown_files_have_none(path: Path) -> None:
    write(path, {"f": [one()]})
    with Catalog(path) as catalog:
        with pytest.raises(KeyError):
            catalog.document("' OR 1 = 1 --")
        with pytest.raises(KeyError):
            catalog.pages("nobody")
        assert catalog.documents_of_file("nothing") == ()


def test_an_empty_catalog_can_be_read(path: Path) -> None:
    assert write(path, {}) == Counts(0, 0, 0, 0, 0)
    with Catalog(path) as catalog:
        assert list(catalog.all_passages()) == []
        assert catalog.digests().shape == (0,)
        assert catalog.rows_in(catalog).shape == (0,)
        assert catalog.files() == {}


def test_a_skipped_file_keeps_its_reason(path: Path) -> None:
    with CatalogWriter(path) as writer:
        writer.add_file(record("good.txt"), [one()])
        writer.add_file(record("bad.pdf", error="bad.pdf is encrypted"))
        counts = writer.finish()
    assert (counts.files, counts.skipped, counts.documents) == (2, 1, 1)
    with Catalog(path) as catalog:
        assert catalog.files()["bad.pdf"].error == "bad.pdf is encrypted"
        assert list(catalog.files()) == ["bad.pdf", "good.txt"]


def test_a_file_that_fails_halfway_leaves_nothing_and_can_be_added_as_skipped(path: Path) -> None:
    def halfway() -> Iterator[tuple[Document, list[Passage]]]:
        yield one("first half", "b#0")
        raise DocumentError("b is cut short")

    with CatalogWriter(path) as writer:
        writer.add_file(record("a"), [one("kept", "a#0")])
        with pytest.raises(DocumentError, match="cut short"):
            writer.add_file(record("b"), halfway())
        writer.add_file(record("b", error="b is cut short"))
        writer.add_file(record("c"), [one("kept too", "c#0")])
        writer.finish()
    with Catalog(path) as catalog:
        assert [passage.text for passage in catalog.all_passages()] == ["kept", "kept too"]
        assert catalog.files()["b"] == record("b", error="b is cut short")


def test_two_documents_of_one_id_are_refused_and_the_first_stays(path: Path) -> None:
    with CatalogWriter(path) as writer:
        writer.add_file(record("a"), [one("mine", "same")])
        with pytest.raises(DocumentError, match="b: another document has the id 'same'"):
            writer.add_file(record("b"), [one("other", "b#0"), one("yours", "same")])
        writer.finish()
    with Catalog(path) as catalog:
        assert [passage.text for passage in catalog.all_passages()] == ["mine"]


def test_half_a_surrogate_pair_is_a_fault_of_the_document(path: Path) -> None:
    with CatalogWriter(path) as writer:
        for bad in (one("a\ud800b"), (Document("d", "text", title="\udfff"), [])):
            with pytest.raises(DocumentError, match="half of a surrogate pair"):
                writer.add_file(record("f"), [bad])
        writer.add_file(record("f"), [one("whole 😀 pair")])
        writer.finish()
    with Catalog(path) as catalog:
        assert catalog.document("d").text == "whole 😀 pair"


@pytest.mark.parametrize(
    "passage",
    [
        Passage("d", 0, 3, "two"),
        Passage("e", 0, 3, "one"),
        Passage("d", 0, 99, "one two"),
        Passage("d", -3, 7, "two"),
    ],
)
def test_a_passage_that_is_no_slice_of_its_document_is_refused(path: Path, passage: Passage) -> None:
    with CatalogWriter(path) as writer, pytest.raises(ValueError, match="not a slice of document d"):
        writer.add_file(record("f"), [(Document("d", "one two"), [passage])])


def test_a_file_is_added_once(path: Path) -> None:
    write(path, {"f": [one()]})
    with Catalog(path) as old, CatalogWriter(path.with_name("new")) as writer:
        writer.add_file(record("f"))
        with pytest.raises(ValueError, match="f was added before"):
            writer.add_file(record("f"))
        with pytest.raises(ValueError, match="added before"):
            writer.copy_files(old, ["f"])
        assert writer.finish().files == 1


def test_copying_is_all_or_nothing(path: Path) -> None:
    write(path, {"a": [one("a", "a#0")], "b": [one("b", "b#0")]})
    with Catalog(path) as old, CatalogWriter(path.with_name("new")) as writer:
        writer.add_file(record("z"), [one("taken", "b#0")])
        with pytest.raises(KeyError, match="nowhere"):
            writer.copy_files(old, ["a", "nowhere"])
        with pytest.raises(DocumentError, match="same id"):
            writer.copy_files(old, ["a", "b"])
        writer.copy_files(old, [])
        writer.copy_files(old, ["a", "a"])
        writer.finish()
    with Catalog(path.with_name("new")) as catalog:
        assert [passage.text for passage in catalog.all_passages()] == ["a", "taken"]


def test_a_writer_that_does_not_finish_leaves_nothing(path: Path) -> None:
    with CatalogWriter(path) as writer:
        writer.add_file(record("f"), [one()])
    assert list(path.parent.iterdir()) == []


def test_a_finished_catalog_is_one_file_and_reading_leaves_no_other(path: Path) -> None:
    write(path, {"f": [one()]})
    path.chmod(0o400)
    path.parent.chmod(0o500)
    with Catalog(path) as catalog:
        assert len(list(catalog.all_passages())) == 1
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    path.parent.chmod(0o700)


@pytest.mark.parametrize("name", ["100%.sqlite", "a?b#c.sqlite", "汉 字.sqlite", "file:x?mode=rw.sqlite"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, {"f": [one()]})
    with Catalog(tmp_path / name) as catalog, CatalogWriter(tmp_path / f"new {name}") as writer:
        writer.copy_files(catalog, ["f"])
        writer.finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"new {name}"])


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", b"hello" * 1000, None])
def test_a_file_that_is_no_catalog_is_damage(path: Path, data: bytes | None) -> None:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(IndexDamaged, match=r"catalog\.sqlite is no catalog.*--rebuild"):
        Catalog(path)
    assert path.exists() == (data is not None)


def test_several_threads_read_at_once(path: Path) -> None:
    write(path, {"f": [one(f"text {place}", f"d{place:03d}") for place in range(500)]})
    faults: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            for row in random.Random(seed).sample(range(500), 200):
                assert catalog.passages([row])[0].text == f"text {row}"
                assert catalog.document(f"d{row:03d}").text == f"text {row}"
            assert sum(1 for _ in catalog.all_passages()) == 500
        except BaseException as error:
            faults.append(error)

    with Catalog(path) as catalog:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert faults == []


def test_blocks_of_passages_join_without_gap_or_overlap(path: Path) -> None:
    text = "x" * 2500
    passages = [Passage("d", at, at + 1, "x") for at in range(2500)]
    random.Random(3).shuffle(passages)
    write(path, {"f": [(Document("d", text), passages)]})
    with Catalog(path) as catalog:
        assert [passage.start for passage in catalog.all_passages()] == list(range(2500))
