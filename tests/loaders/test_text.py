from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.decoding import clean
from ragqa.errors import DocumentError
from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
CHINESE = "检索增强生成把外部知识与语言模型结合起来，因此答案可以注明出处。"


@pytest.mark.parametrize(
    "data",
    [CHINESE.encode(codec) for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030")],
    ids=["utf-8", "utf-8 with mark", "utf-16", "utf-32", "gb18030"],
)
def test_chinese_is_read_in_every_accepted_encoding(read: Read, data: bytes) -> None:
    assert read("a.txt", data).text == CHINESE


def test_utf16_big_endian_with_its_mark_is_read(read: Read) -> None:
    assert read("a.txt", b"\xfe\xff" + "Grüße".encode("utf-16-be")).text == "Grüße"


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("latin-1", "Café déjà vu, où êtes-vous? Größe"),
        ("shift_jis", "名前,年齢,住所\n佐藤太郎,30,東京"),
        ("euc_kr", "검색 증강 생성은 문서에서 근거를 찾아 질문에 답하는 방법이다."),
    ],
)
def test_other_encodings_are_refused_and_not_guessed(read: Read, codec: str, text: str) -> None:
    with pytest.raises(DocumentError, match="not valid UTF-8: byte"):
        read("a.txt", text.encode(codec))


def test_the_position_of_the_first_bad_byte_is_named_beyond_the_first_block(read: Read) -> None:
    place = (1 << 20) + 4321
    with pytest.raises(DocumentError, match=f"byte {place} "):
        read("a.txt", b"a" * place + b"\xff" + b"b" * 10)


def test_a_character_cut_by_a_block_boundary_does_not_shift_the_position(read: Read) -> None:
    data = b"a" * ((1 << 20) - 1) + "é".encode() + b"\xff"
    with pytest.raises(DocumentError, match=f"byte {(1 << 20) + 1} "):
        read("a.txt", data)


def test_binary_content_named_as_text_is_refused(read: Read) -> None:
    with pytest.raises(DocumentError, match="binary data"):
        read("a.txt", b"PK\x03\x04\x00\x00binary")


@pytest.mark.parametrize("content", ["", " \n\t\n"])
def test_a_file_without_text_is_refused_by_name(read: Read, content: str) -> None:
    with pytest.raises(DocumentError, match=r"nothing\.txt: (is empty|holds no text)"):
        read("nothing.txt", content)


def test_newlines_become_one_kind_and_controls_vanish(read: Read) -> None:
    assert read("a.txt", "one\r\ntwo\rthree\x85four\x07\x1b[0m\n").text == "one\ntwo\nthree\nfour[0m\n"


def test_the_title_comes_from_a_file_name_that_holds_words(read: Read) -> None:
    assert read("annual_report-2024.txt", "x").title == "annual report 2024"
    assert read("000123.txt", "x").title == ""


@given(st.text(st.characters(), max_size=40))
def test_clean_text_can_be_stored_and_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert "\r" not in cleaned
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned
