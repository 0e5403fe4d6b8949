from collections.abc import Callable

import pytest

from ragqa.loaders.markdown import inline
from ragqa.types import Document

Read = Callable[[str, str | bytes], Document]
RowsOf = Callable[[Document], list[str]]

PAGE = """---
title: "The manual"
tags: [a, b]
---
# Install #

Two commands
are enough.

```sh
# not a heading
make demo
```

Costs
-----
Table 2 Costs

| Method | Memory | Note |
|--------|:------:|------|
| LoRA   | 4 GB   | `a|b` |
| full \\| all | 16 GB | |

You need:
- a **CPU**
- [Python](https://python.org) 3.11
"""


def test_headings_are_found_where_they_stand_and_fences_hide_none(read: Read) -> None:
    document = read("a.md", PAGE)
    assert [(h.level, h.text) for h in document.headings] == [(1, "Install"), (2, "Costs")]
    assert all(document.text[h.start :].startswith(h.text + "\n") for h in document.headings)
    assert "# not a heading\nmake demo" in document.text


def test_front_matter_gives_the_title_and_is_not_text(read: Read) -> None:
    document = read("a.md", PAGE)
    assert document.title == "The manual"
    assert "tags" not in document.text


def test_table_rows_carry_caption_and_header(read: Read, rows_of: RowsOf) -> None:
    page = PAGE.replace("Table 2 Costs\n\n", "Table 2 Costs\n")
    assert rows_of(read("a.md", page)) == [
        "Table 2 Costs — Method: LoRA; Memory: 4 GB; Note: a|b",
        "Table 2 Costs — Method: full | all; Memory: 16 GB",
    ]


def test_list_items_stand_under_their_lead_in(read: Read) -> None:
    assert read("a.md", PAGE).text.endswith("You need:\n- a CPU\n- Python 3.11")


def test_wrapped_lines_become_one_line_and_chinese_ones_get_no_space(read: Read) -> None:
    text = read("a.md", "one\ntwo\n\n检索增强\n生成").text
    assert text == "one two\n\n检索增强生成"


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("**bold** *it* __b__ _i_", "bold it b i"),
        ("`a_b_*c*` x", "a_b_*c* x"),
        ("![alt](i.png) [t](u_(v)) <https://x.y>", "alt t https://x.y"),
        (r"\*kept\*", "*kept*"),
        ("a < b and c > d, List<T>", "a < b and c > d, List<T>"),
    ],
)
def test_marks_go_and_words_stay(marked: str, plain: str) -> None:
    assert inline(marked) == plain


def test_an_unclosed_fence_and_an_unclosed_comment_end_with_the_file(read: Read) -> None:
    assert read("a.md", "x\n\n```\n# code").text == "x\n\n# code"
    assert read("a.md", "seen <!-- never closed\nhidden").text == "seen"
