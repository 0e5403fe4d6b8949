import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter

from ragqa.errors import DocumentError
from ragqa.loaders import iterate_documents, load_document_file
from ragqa.loaders.pdf import paragraphs
from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
MakePdf = Callable[[Sequence[Sequence[str]]], bytes]
MakeRuledPdf = Callable[[Sequence[tuple[str, Sequence[Sequence[str]], str]]], bytes]
MakeSizedPdf = Callable[[Sequence[Sequence[tuple[str, int]]]], bytes]
RowsOf = Callable[[Document], list[str]]

PAGES = [
    [
        "Annual report  1",
        "The first page speaks of retrieval and of the many ways in which a hyphen-",
        "ated word may end.",
    ],
    ["Annual report  2", "Second thoughts", "are written here on the second page of it."],
    [
        "Annual report  3",
        "The third page says that fine-tuning took an hour on two cores, which is",
        "short.",
    ],
]


def _written(writer: PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _copy(data: bytes) -> PdfWriter:
    return PdfWriter(clone_from=PdfReader(io.BytesIO(data)))


def test_every_sentence_is_whole_and_on_its_page(read: Read, make_pdf: MakePdf) -> None:
    document = read("a.pdf", make_pdf(PAGES))
    assert "a hyphenated word may end." in document.text
    assert len(document.pages) == 3
    for page, words in enumerate(
        ["retrieval and", "Second thoughts", "an hour on two cores, which is short."], 1
    ):
        assert document.page_at(document.text.index(words)) == page


def test_running_heads_are_dropped_unless_they_are_all_there_is(read: Read, make_pdf: MakePdf) -> None:
    assert "Annual report" not in read("a.pdf", make_pdf(PAGES)).text
    assert read("a.pdf", make_pdf([["Background"]] * 4)).text == "\n\n".join(["Background"] * 4)


def test_bookmarks_become_headings_where_their_words_stand(read: Read, make_pdf: MakePdf) -> None:
    writer = _copy(make_pdf(PAGES))
    parent = writer.add_outline_item(title="First", page_number=0)
    writer.add_outline_item(title="Second thoughts", page_number=1, parent=parent)
    document = read("a.pdf", _written(writer))
    assert [(h.level, h.text) for h in document.headings] == [(1, "First"), (2, "Second thoughts")]
    assert document.text[document.headings[1].start :].startswith("Second thoughts")


def test_lines_set_larger_than_the_text_are_headings_where_there_are_no_bookmarks(
    read: Read, make_sized_pdf: MakeSizedPdf
) -> None:
    text = [("The text of this page is set in ten points, as most texts are, and goes on.", 10)] * 8
    pages = [
        [("A long title that needs", 20), ("two lines", 20), *text, ("Costs", 14), *text],
        [("Times", 14), *text, ("7", 20)],
    ]
    document = read("a.pdf", make_sized_pdf(pages))
    assert [(h.level, h.text) for h in document.headings] == [
        (1, "A long title that needs two lines"),
        (2, "Costs"),
        (2, "Times"),
    ]
    assert all(document.text.startswith(h.text, h.start) for h in document.headings)
    assert [document.page_at(h.start) for h in document.headings] == [1, 1, 2]


HEADER, COSTS = ["Method", "Memory"], [["LoRA", "4 GB"], ["Full", "16 GB"]]


def test_each_row_of_a_ruled_table_carries_caption_and_header(
    read: Read, make_ruled_pdf: MakeRuledPdf, rows_of: RowsOf
) -> None:
    document = read("a.pdf", make_ruled_pdf([("Table 1: Costs", [HEADER, *COSTS], "That was the table.")]))
    assert rows_of(document) == [
        "Table 1: Costs — Method: LoRA; Memory: 4 GB",
        "Table 1: Costs — Method: Full; Memory: 16 GB",
    ]
    assert document.text.endswith("\n\nThat was the table.")
    assert document.text.count("LoRA") == 1


def test_a_table_that_goes_on_over_a_page_keeps_caption_and_header(
    read: Read, make_ruled_pdf: MakeRuledPdf, rows_of: RowsOf
) -> None:
    pages = [
        ("Table 1: Costs", [HEADER, *COSTS], ""),
        ("", [["Adapter", "5 GB"], ["Prompt", "4 GB"]], "End."),
    ]
    document = read("a.pdf", make_ruled_pdf(pages))
    assert rows_of(document)[2:] == [
        "Table 1: Costs — Method: Adapter; Memory: 5 GB",
        "Table 1: Costs — Method: Prompt; Memory: 4 GB",
    ]
    assert [document.page_at(row.start) for row in document.rows] == [1, 1, 2, 2]


def test_a_table_after_other_words_is_a_table_of_its_own(
    read: Read, make_ruled_pdf: MakeRuledPdf, rows_of: RowsOf
) -> None:
    pages = [
        ("Table 1: Costs", [HEADER, *COSTS], ""),
        ("Some words", [["Adapter", "5"], ["Prompt", "4"]], "End."),
    ]
    assert rows_of(read("a.pdf", make_ruled_pdf(pages)))[2:] == ["Adapter; 5", "Prompt; 4"]


def test_frames_around_running_text_are_no_tables(read: Read, make_ruled_pdf: MakeRuledPdf) -> None:
    document = read("a.pdf", make_ruled_pdf([("Before", [["A framed note"], ["and another one"]], "After")]))
    assert document.rows == ()
    assert all(words in document.text for words in ("Before", "A framed note", "another one", "After"))


def test_tables_of_real_files_become_rows_and_no_word_is_lost(rows_of: RowsOf) -> None:
    path = Path(__file__).parents[2] / "kb" / "handbook" / "continual_learning.pdf"
    (document,) = load_document_file(path, "continual_learning.pdf")
    assert len(document.rows) == 5
    assert "Family: Replay; Old data: yes" in rows_of(document)[1]
    with PdfReader(path) as reader:
        words = {word for page in reader.pages for word in page.extract_text().split() if word.isalpha()}
    # A hyphenated word is joined, so look for what stands inside a line.
    lost = {word for word in words if word not in document.text}
    assert len(lost) <= 0.02 * len(words), lost


def test_an_encrypted_file_is_refused_and_one_without_a_reading_password_is_read(
    read: Read, make_pdf: MakePdf
) -> None:
    closed, open_ = _copy(make_pdf(PAGES)), _copy(make_pdf(PAGES))
    closed.encrypt("secret", algorithm="RC4-128")
    open_.encrypt("", "owner", algorithm="RC4-128")
    with pytest.raises(DocumentError, match=r"a\.pdf: is encrypted with a password; .*try: "):
        read("a.pdf", _written(closed))
    assert "Second thoughts" in read("a.pdf", _written(open_)).text


def test_pages_without_text_ask_for_a_text_layer(read: Read) -> None:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    with pytest.raises(DocumentError, match=r"has 1 pages but no text.*ocrmypdf"):
        read("scan.pdf", _written(writer))


def test_a_truncated_file_is_read_or_refused_in_one_line_at_every_length(
    read: Read, make_pdf: MakePdf
) -> None:
    data = make_pdf(PAGES)
    said = [_refusal(read, data[:length]) for length in range(1, len(data), 97)]
    assert len(list(filter(None, said))) > 3
    assert not any("\n" in line for line in said)


def _refusal(read: Read, data: bytes) -> str:
    try:
        return "" if read("cut.pdf", data).text else "no text"
    except DocumentError as error:
        return str(error)


def test_short_lines_bullets_and_gaps_end_a_paragraph() -> None:
    lines = [
        "A heading",
        "This long line goes on and on until the margin",
        "and ends here.",
        "• item",
        "• other",
        "",
        "End",
    ]
    assert list(paragraphs(lines)) == [
        ("A heading", False),
        ("This long line goes on and on until the margin and ends here.", False),
        ("• item", True),
        ("• other", True),
        ("End", False),
    ]


def test_a_page_that_does_not_decompress_is_named_and_the_others_are_read(
    write: Callable[[str, bytes], Path], make_pdf: MakePdf
) -> None:
    writer = _copy(make_pdf([["First page here."], ["Second page here."], ["Third page here."]]))
    for page in writer.pages:
        page.compress_content_streams()
    content: Any = writer.pages[1]["/Contents"]
    stream = content.get_object()
    stream._data = bytes(byte ^ 0x55 for byte in stream._data)
    document, *faults = iterate_documents(write("a.pdf", _written(writer)), "a.pdf")
    assert isinstance(document, Document)
    assert "First page here." in document.text
    assert "Third page here." in document.text
    assert [str(fault).partition(" is damaged")[0].rpartition("a.pdf: ")[2] for fault in faults] == ["page 2"]
