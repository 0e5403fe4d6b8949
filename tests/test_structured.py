"""Answers that fit a JSON Schema: what is read out of a text, what is refused, and the second try."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragqa.drafts import Draft
from ragqa.errors import ConfigError
from ragqa.prompting import NOT_HERE, Fault
from ragqa.readers import generative
from ragqa.schemas import NotValid, Schema, leaves
from ragqa.structured import StructuredWriter
from ragqa.types import Hit, Passage, Query

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name", "year"],
    "additionalProperties": False,
}
TEXT = "The bridge was designed by Maria Keller. It opened in 1931 and cost 12,500 crowns."
PASSAGE = Passage("bridge.md", 0, len(TEXT), TEXT)


def schema_of(folder: Path, value: Any = PERSON) -> Path:
    path = folder / "schema.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


class Scripted:
    """Writes one text after the other, and keeps what it was told to correct."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.faults = list(texts), list[Sequence[Fault | None] | None]()

    def write(
        self,
        questions: Sequence[str],
        passages: Sequence[Sequence[Passage]],
        heard: Any = None,
        *,
        faults: Sequence[Fault | None] | None = None,
    ) -> list[Draft]:
        self.faults.append(faults)
        return [Draft(self.texts.pop(0), -0.1, tuple(mine), 0, is_cut=False) for mine in passages]


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "Keller", "year": 1931}',
        ' \n{"name": "Keller", "year": 1931}\n',
        'Here it is:\n```json\n{"name": "Keller", "year": 1931}\n```\nAnything else?',
        'The answer is {"name": "Keller", "year": 1931}.',
    ],
)
def test_the_value_is_found_in_what_was_written(tmp_path: Path, written: str) -> None:
    assert Schema(schema_of(tmp_path)).parse(written) == {"name": "Keller", "year": 1931}


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("Maria Keller", "it is no JSON"),
        ('{"name": "Keller"', "it is no JSON"),
        ('{"name": "Keller"}', "'year' is a required property"),
        ('{"name": "Keller", "year": "1931"}', r"\$\.year: '1931' is not of type 'integer'"),
        ('{"name": "Keller", "year": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "it is (nested too deeply|no JSON)"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(tmp_path: Path, written: str, why: str) -> None:
    with pytest.raises(NotValid, match=why):
        Schema(schema_of(tmp_path)).parse(written)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is no object"),
        ({"type": "obj"}, r"at \$\.type"),
        ({"$ref": "http://example.org/other.json"}, "points to 'http://example.org/other.json'"),
        ({"$ref": "file:///etc/passwd"}, "accepted: references within the file"),
    ],
)
def test_a_schema_that_is_none_or_points_elsewhere_is_refused(
    tmp_path: Path, schema: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Schema(schema_of(tmp_path, schema))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON_VALUES)
def test_any_value_comes_back_as_it_was_written(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    anything = Schema(schema_of(tmp_path_factory.mktemp("any"), {}))
    assert anything.parse(json.dumps(value, ensure_ascii=False)) == value


def test_every_string_and_number_has_its_place() -> None:
    value = {"name": "Keller", "years": [1931, 2.5], "alive": False, "of": {"city": None}}
    assert list(leaves(value)) == [("$.name", "Keller"), ("$.years[0]", 1931), ("$.years[1]", 2.5)]


def test_a_second_try_is_told_what_was_wrong(tmp_path: Path) -> None:
    scripted = Scripted('{"name": "Keller"}', '{"year": 1931, "name": "Keller"}')
    heard: list[str] = []
    (draft,) = StructuredWriter(scripted, Schema(schema_of(tmp_path))).write(
        ["Who?"], [[PASSAGE]], heard.append
    )
    assert draft.text == '{"year":1931,"name":"Keller"}'
    assert (draft.tries, draft.fault) == (2, "")
    assert heard == [draft.text]
    first, second = scripted.faults
    assert first is None
    assert second is not None
    assert second[0] is not None
    assert second[0].written == '{"name": "Keller"}'
    assert "'year' is a required property" in second[0].reason


def test_there_is_no_third_try_and_a_refusal_needs_none(tmp_path: Path) -> None:
    schema = Schema(schema_of(tmp_path))
    (draft,) = StructuredWriter(Scripted("no", "no, again"), schema).write(["Who?"], [[PASSAGE]])
    assert draft.fault
    assert draft.tries == 2
    (draft,) = StructuredWriter(Scripted(NOT_HERE["en"]), schema).write(["Who?"], [[PASSAGE]])
    assert (draft.text, draft.tries, draft.fault) == (NOT_HERE["en"], 1, "")


def read(monkeypatch: pytest.MonkeyPatch, folder: Path, *texts: str) -> Any:
    monkeypatch.setattr("ragqa.writers.open_writer", lambda *_, **__: Scripted(*texts))
    reader = generative.GenerativeReader(schema=str(schema_of(folder)))
    (answer,) = reader.read([Query("Who designed the bridge?")], [[Hit(PASSAGE, 1.0)]])
    return answer


def test_each_value_is_cited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = read(monkeypatch, tmp_path, '{"name": "Maria Keller", "year": 1931}')
    assert answer.data == {"name": "Maria Keller", "year": 1931}
    assert {c.quote for c in answer.citations} == {"Maria Keller", "1931"}
    assert answer.details["support"] == 1


def test_a_number_is_found_as_documents_write_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = read(monkeypatch, tmp_path, '{"name": "Maria Keller", "year": 12500}')
    assert any("12,500" in citation.quote for citation in answer.citations)
    assert not answer.details["unsupported"]


def test_a_value_that_nothing_bears_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = read(monkeypatch, tmp_path, '{"name": "Maria Keller", "year": 1999}')
    assert "no passage bears out $.year" in answer.note
    nothing = read(monkeypatch, tmp_path, '{"name": "Otto Brandt", "year": 1999}')
    assert nothing.text is None
    assert not nothing.failure


def test_what_is_no_json_twice_is_a_failure_and_no_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = read(monkeypatch, tmp_path, "Maria Keller", "Maria Keller")
    assert answer.text is None
    assert "not valid after one repair: it is no JSON" in answer.failure
