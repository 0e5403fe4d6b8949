"""CSV, TSV, JSON Lines and EPUB."""

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ragqa.errors import DocumentError
from ragqa.loaders import iterate_documents, load_document_file
from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
Write = Callable[[str, str | bytes], Path]
RowsOf = Callable[[Document], list[str]]
DATA = Path(os.environ.get("RAGQA_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize(("name", "mark"), [("costs.csv", ","), ("costs.csv", ";"), ("costs.tsv", "\t")])
def test_every_record_carries_the_names_of_its_columns(
    read: Read, rows_of: RowsOf, name: str, mark: str
) -> None:
    lines = ["Method,Memory,Note", 'LoRA,4 GB,"one\nor two"', "full,16 GB,"]
    document = read(name, "\r\n".join(line.replace(",", mark) for line in lines))
    assert rows_of(document) == [
        "costs — Method: LoRA; Memory: 4 GB; Note: one or two",
        "costs — Method: full; Memory: 16 GB",
    ]


def test_a_long_table_becomes_several_documents_with_the_header_in_every_row(
    write: Write, rows_of: RowsOf
) -> None:
    path = write("t.csv", "Name,Number\n" + "".join(f"n{i},{i}\n" for i in range(45_000)))
    documents = load_document_file(path, "t")
    assert [d.id for d in documents] == ["t", "t#20001", "t#40001"]
    rows = [row for document in documents for row in rows_of(document)]
    assert rows == [f"Name: n{i}; Number: {i}" for i in range(45_000)]


def test_records_of_numbers_have_no_header(read: Read, rows_of: RowsOf) -> None:
    assert rows_of(read("0.csv", "1,2\n3,4\n")) == ["1; 2", "3; 4"]


def test_jsonl_records_are_documents_of_their_own(write: Write) -> None:
    lines = [
        '{"_id": "4983", "title": "T", "text": "one\\r\\ntwo"}',
        "",
        '{"id": 7, "text": "x"}',
        '{"text": "y"}',
    ]
    documents = load_document_file(write("c.jsonl", "\n".join(lines)), "kb/c.jsonl")
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("kb/c.jsonl#4983", "T", "one\ntwo"),
        ("kb/c.jsonl#7", "", "x"),
        ("kb/c.jsonl#4", "", "y"),
    ]


def test_lone_surrogates_written_as_escapes_never_reach_the_text(read: Read) -> None:
    assert read("c.jsonl", '{"text": "a\\ud800b"}').text == "a\ufffdb"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["text"]', "line 1 is no object"),
        ('{"text": 3}', "line 1 is no object"),
        ("[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_a_file_without_any_record_that_fits_is_refused(read: Read, content: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        read("c.jsonl", content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "first"}\n{broken\n{"text": "last"}', "line 2 is not JSON"),
        (
            '{"_id": "a", "text": "first"}\n{"_id": "a", "text": "x"}\n{"text": "last"}',
            "the id 'a' twice, again in line 2",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_named_by_its_line_and_the_others_are_read(
    write: Write, content: str, said: str
) -> None:
    first, fault, last = iterate_documents(write("c.jsonl", content), "c")
    assert isinstance(fault, DocumentError)
    assert re.search(f"c.jsonl: .*{said}", str(fault))
    assert [part.text for part in (first, last) if isinstance(part, Document)] == ["first", "last"]


def test_a_file_of_bad_records_is_given_up(write: Write) -> None:
    with pytest.raises(DocumentError, match="more than 1,000 bad parts; the first: line 2 is not JSON"):
        list(iterate_documents(write("c.jsonl", '{"text": "a"}\n' + "{\n" * 1001), "c"))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}")
def test_a_beir_corpus_is_read_as_published() -> None:
    path = DATA / "scifact" / "corpus.jsonl"
    with path.open(encoding="utf-8") as file:
        published = [json.loads(line) for line in file]
    documents = load_document_file(path, "scifact")
    assert [d.id for d in documents] == [f"scifact#{record['_id']}" for record in published]
    assert all(
        d.title == " ".join(record["title"].split()) for d, record in zip(documents, published, strict=True)
    )


def _epub(**more: str) -> bytes:
    buffer = io.BytesIO()
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><h1>{0}</h1><p>{1}</p></html>'
    files = {
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The book</dc:title></metadata><manifest>'
        '<item id="a" href="text/one%20a.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="b" href="text/two.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/></manifest>'
        '<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>',
        "OPS/text/one a.xhtml": page.format("Second", "the end"),
        "OPS/text/two.xhtml": page.format("First", "the start"),
        "OPS/nav.xhtml": page.format("Contents", "First Second"),
    }
    with zipfile.ZipFile(buffer, "w") as book:
        for name, content in (files | more).items():
            book.writestr(name, content)
    return buffer.getvalue()


def test_an_epub_is_read_in_the_order_of_its_spine(read: Read) -> None:
    document = read("b.epub", _epub())
    assert document.title == "The book"
    assert document.text == "First\n\nthe start\n\nSecond\n\nthe end"
    assert [h.text for h in document.headings] == ["First", "Second"]


def test_a_copy_protected_epub_says_so(read: Read) -> None:
    with pytest.raises(DocumentError, match="DRM"):
        read("b.epub", _epub(**{"META-INF/rights.xml": "<rights/>"}))


def test_a_quote_that_never_closes_names_the_line_where_it_opens(read: Read) -> None:
    with pytest.raises(DocumentError, match="the record that begins in line 3 does not end well"):
        read("a.csv", 'name,city\nAda,London\nGrace,"New York\nAlan,Wilmslow\nEdsger,Rotterdam\n')


def test_records_whose_id_is_null_are_named_by_their_line(write: Write) -> None:
    path = write("a.jsonl", '{"_id": null, "text": "one"}\n{"_id": null, "text": "two"}\n')
    assert [d.id for d in load_document_file(path, "a.jsonl")] == ["a.jsonl#1", "a.jsonl#2"]
