import time
from collections.abc import Callable

import pytest

from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
RowsOf = Callable[[Document], list[str]]

PAGE = """<!doctype html><html><head><title>Costs &amp; gains</title><style>p{}</style>
<script>var a = "<p>no</p>";</script></head><body><nav>Home</nav><h1>Costs</h1>
<p>Memory  matters<br>most.</p><p hidden>never</p><div style="display: none">nor this</div>
<p>You need:</p><ol><li>a CPU</li><li><p>Python</p></li></ol>
<table><caption>Table 2 Costs</caption><thead><tr><th>Method<th colspan=2>Memory</tr></thead>
<tr><td rowspan=2>LoRA<td>4 GB<td>CPU<tr><td>6 GB<td>GPU</table></body></html>"""


def test_only_visible_text_is_kept_in_reading_order(read: Read) -> None:
    document = read("a.html", PAGE)
    assert document.title == "Costs & gains"
    assert document.text.startswith("Costs\n\nMemory matters\nmost.\n\nYou need:\n1. a CPU\n2. Python\n\n")
    assert not any(word in document.text for word in ("Home", "never", "nor this", "var a", "p{}"))


def test_rows_carry_caption_header_and_spanning_cells(read: Read, rows_of: RowsOf) -> None:
    assert rows_of(read("a.html", PAGE)) == [
        "Table 2 Costs — Method: LoRA; Memory: 4 GB; Memory: CPU",
        "Table 2 Costs — Method: LoRA; Memory: 6 GB; Memory: GPU",
    ]


def test_a_table_that_holds_a_table_only_places_things(read: Read, rows_of: RowsOf) -> None:
    inner = "<table><tr><th>A<th>B<tr><td>1<td>2</table>"
    document = read("a.html", f"<table><tr><td>menu<td>{inner}<tr><td>foot<td>end</table>")
    assert rows_of(document) == ["A: 1; B: 2"]
    assert document.text.split() == ["menu", "A:", "1;", "B:", "2", "foot", "end"]


@pytest.mark.parametrize(
    ("head", "codec"),
    [('<meta charset="gb2312">', "gb18030"), ("", "utf-8"), ("", "gb18030"), ("", "utf-16")],
)
def test_the_charset_is_declared_or_recognised(read: Read, head: str, codec: str) -> None:
    page = f"<html><head>{head}</head><body><p>检索增强生成结合了知识</p></body></html>"
    assert read("a.html", page.encode(codec)).text == "检索增强生成结合了知识"


def test_undeclared_western_bytes_are_read_as_browsers_do(read: Read) -> None:
    assert read("a.html", "<p>Café “déjà”</p>".encode("cp1252")).text == "Café “déjà”"


def test_ten_megabytes_in_one_line_are_read_whole(read: Read) -> None:
    sentence = "<b>word</b> and more words. "
    count = 10_000_000 // len(sentence)
    document = read("a.html", "<p>" + sentence * count + "</p>")
    assert document.text.count("word and more words.") == count


def test_two_hundred_thousand_nested_blocks_are_read_whole(read: Read) -> None:
    started = time.process_time()
    document = read("a.html", "<div>" * 200_000 + "deep inside" + "</div>" * 200_000 + "<p>after</p>")
    assert document.text == "deep inside\n\nafter"
    assert time.process_time() - started < 20


def test_an_empty_title_tag_of_xhtml_does_not_swallow_the_page(read: Read) -> None:
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x"/>'
    assert read("a.xhtml", page + "</head><body><p>text&nbsp;here</p></body></html>").text == "text here"


def test_external_entities_are_not_read(read: Read) -> None:
    page = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>a &x; b</p>'
    assert "root:" not in read("a.html", page).text
