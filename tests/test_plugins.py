"""The folder is the registry: each file of a plugin folder is found, described, checked and built."""

from pathlib import Path
from typing import Any

import pytest

from ragqa import plugins
from ragqa.encoders.hashing import HashingEncoder
from ragqa.errors import PluginError

ALL = [(kind, name) for kind in plugins.SUFFIX for name in plugins.names(kind)]
RUNTIME = {"count_tokens": HashingEncoder().count_tokens}


@pytest.mark.parametrize("kind", plugins.SUFFIX)
def test_the_names_are_the_files(kind: str) -> None:
    folder = Path(plugins.__file__).parent / kind
    files = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    assert plugins.names(kind) == files != []


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_each_plugin_has_a_summary_and_its_class(kind: str, name: str) -> None:
    summary = plugins.summary(kind, name)
    assert summary
    assert "\n" not in summary
    found = plugins.load_class(kind, name)
    assert found.__name__.endswith(plugins.SUFFIX[kind])
    assert found.__module__ == f"ragqa.{kind}.{name}"


NEED_A_MODEL = {("rerankers", "cross_encoder"), ("rewriters", "generative")}


@pytest.mark.parametrize(("kind", "name"), [p for p in ALL if p[0] != "readers" and p not in NEED_A_MODEL])
def test_each_plugin_is_built_from_its_name(kind: str, name: str) -> None:
    built = plugins.build(kind, {"name": name}, **RUNTIME)
    assert type(built) is plugins.load_class(kind, name)
    verbs = {
        "splitters": "split",
        "encoders": "encode_passages",
        "tuning": "apply",
        "continual": "penalty",
        "rerankers": "rerank",
        "rewriters": "rewrite",
    }
    verb = verbs.get(kind, "search")
    assert callable(getattr(built, verb))


def test_options_reach_the_constructor() -> None:
    assert plugins.build("encoders", {"name": "hashing", "dimensions": 7}).dimension == 7


def test_what_the_program_provides_is_no_option() -> None:
    assert "count_tokens" not in plugins.options("splitters", "headings")
    with pytest.raises(PluginError, match="count_tokens"):
        plugins.check_options("splitters", {"name": "headings", "count_tokens": len})


def test_an_unknown_name_hears_of_the_nearest() -> None:
    with pytest.raises(PluginError) as caught:
        plugins.load_class("stores", "fais")
    assert "'fais'" in caught.value.found
    assert caught.value.accepted == ", ".join(plugins.names("stores"))
    assert caught.value.next_step == "name: faiss"


def test_an_unknown_option_hears_of_the_nearest() -> None:
    with pytest.raises(PluginError) as caught:
        plugins.check_options("stores", {"name": "faiss", "factry": "Flat"})
    assert "'factry'" in caught.value.found
    assert "factory" in caught.value.accepted
    assert caught.value.next_step == "factory"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("readers", {"name": "extractive", "threshold": "low"}),
        ("readers", {"name": "extractive", "model": None}),
        ("indexes", {"name": "bm25", "b": [0.75]}),
        ("encoders", {"name": "hashing", "dimensions": True}),
        ("encoders", {"name": "sentence_transformer", "truncate": "yes"}),
    ],
)
def test_an_option_of_another_type_is_refused(kind: str, spec: dict[str, Any]) -> None:
    with pytest.raises(PluginError) as caught:
        plugins.check_options(kind, spec)
    assert next(key for key in spec if key != "name") in caught.value.found


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("readers", {"name": "extractive", "threshold": 1}),
        ("readers", {"name": "extractive", "threshold": None}),
        ("indexes", {"name": "bm25", "k1": 2}),
        ("encoders", {"name": "sentence_transformer", "truncate": True}),
    ],
)
def test_whole_numbers_and_none_are_accepted_where_they_fit(kind: str, spec: dict[str, Any]) -> None:
    assert type(plugins.build(kind, spec)) is plugins.load_class(kind, spec["name"])
