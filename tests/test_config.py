"""What a configuration accepts, which value wins, and what a mistake is told."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ragqa.config import PLUGIN_SECTIONS, Config, load_config
from ragqa.errors import ConfigError, PluginError


def stored(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_set_beats_yaml_and_yaml_beats_the_defaults(tmp_path: Path) -> None:
    path = stored(tmp_path, "top_k: 7\nfusion: {dense_weight: 0.3, candidates: 50}\n")
    config = load_config(path, ["fusion.dense_weight=0.7", "loading.max_seconds=5"])
    assert config.fusion.dense_weight == 0.7
    assert (config.fusion.candidates, config.top_k) == (50, 7)
    assert config.loading.max_seconds == 5
    assert config.fusion.method == Config().fusion.method
    assert load_config(path).fusion.dense_weight == 0.3
    assert load_config() == Config()


def test_of_two_overrides_the_last_wins() -> None:
    assert load_config(None, ["top_k=3", "top_k=4"]).top_k == 4


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_config(stored(tmp_path, "# nothing yet\n")) == Config()


def test_a_plugin_is_named_alone_or_with_options(tmp_path: Path) -> None:
    alone = load_config(stored(tmp_path, "encoder: hashing\n"))
    assert alone.encoder.options() == {"name": "hashing"}
    grown = load_config(stored(tmp_path, "encoder: hashing\n"), ["encoder.dimensions=64"])
    assert grown.encoder.options() == {"name": "hashing", "dimensions": 64}
    options_alone = load_config(None, ["splitter.max_passage_tokens=99"])
    assert options_alone.splitter.options() == {"name": "headings", "max_passage_tokens": 99}


def test_overriding_leaves_the_given_values_alone() -> None:
    values: dict[str, Any] = {"fusion": {"dense_weight": 0.1}}
    assert Config.from_values(values, ["fusion.dense_weight=0.9"]).fusion.dense_weight == 0.9
    assert values == {"fusion": {"dense_weight": 0.1}}


def test_a_stored_configuration_reads_back_equal() -> None:
    config = load_config(None, ["encoder=hashing", "encoder.dimensions=8", "top_k=9"])
    assert Config.from_values(config.model_dump(mode="json")) == config


MISTAKES = [
    ("topk: 5", ["topk"], "top_k"),
    ("fusion: {weight: 0.5}", ["fusion.weight"], "dense_weight"),
    ("fusion: {dense_weight: 1.5}", ["fusion.dense_weight", "1.5"], "less than or equal to 1"),
    ("fusion: {method: sum}", ["fusion.method", "'sum'"], "convex"),
    ("top_k: 0", ["top_k", "0"], "greater than or equal to 1"),
    ("top_k: many", ["top_k", "'many'"], "integer"),
    ("top_k: [1]", ["top_k"], "integer"),
    ("fusion: 3", ["fusion", "3"], "docs/config.md"),
    ("reader: 3", ["reader", "3"], "docs/config.md"),
    ("reader: {name: [extractive]}", ["reader.name"], "string"),
    ("loading: {max_seconds: 0}", ["loading.max_seconds"], "greater than 0"),
    ("reader: extractiv", ["readers", "'extractiv'"], "try: name: extractive"),
    ("store: ../../evil", ["stores", "'../../evil'"], "faiss, numpy"),
    ("encoder: os", ["encoders", "'os'"], "hashing, sentence_transformer"),
    ("encoder: {name: hashing, dimension: 8}", ["hashing", "'dimension'"], "dimensions"),
    ("encoder: {name: hashing, dimensions: wide}", ["hashing", "dimensions", "'wide'"], "int"),
    ("encoder: {name: hashing, dimensions: 1.5}", ["hashing", "dimensions", "1.5"], "int"),
    ("lexical: {k1: high}", ["bm25", "k1", "'high'"], "float"),
    ("reader: {threshold: [1]}", ["extractive", "threshold"], "float"),
    ("store: {name: numpy, factory: Flat}", ["numpy", "'factory'"], "no options"),
]


@pytest.mark.parametrize(("text", "found", "accepted"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_names_what_was_found_and_what_is_accepted(
    tmp_path: Path, text: str, found: list[str], accepted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(stored(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    for part in found:
        assert part in caught.value.found
    assert accepted in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["top_k: [", "- 5", "5", "just words", b"\xff\xfe\x00", "a: !!python/name:os.x"]
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "YAML" in caught.value.accepted
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("override", ["top_k", "=5", "a..b=1", "", "top_k=[", "top_k.deeper=1", "fusion=3"])
def test_an_override_that_does_not_fit_is_refused(tmp_path: Path, override: str) -> None:
    path = stored(tmp_path, "top_k: 7\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, [override])
    assert caught.value.accepted or caught.value.next_step


def test_a_configuration_cannot_import_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("planted", "..planted", "planted.Store", f"{tmp_path}/planted"):
        for section in PLUGIN_SECTIONS:
            with pytest.raises(PluginError):
                load_config(None, [f"{section}={name}"])
    for tag in ("!!python/object/apply:os.system ['true']", "!!python/module:planted"):
        with pytest.raises(ConfigError):
            load_config(stored(tmp_path, f"top_k: {tag}"))
    assert "planted" not in sys.modules


def test_every_setting_is_described() -> None:
    for model in (Config, type(Config().fusion), type(Config().loading)):
        for name, field in model.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize(
    "override", ["loading.max_seconds=.inf", "loading.max_memory_mb=99999999999", "loading.max_file_mb=1e12"]
)
def test_limits_have_limits(override: str) -> None:
    with pytest.raises(ConfigError, match="loading"):
        load_config(None, [override])


def test_nesting_without_end_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 5000, encoding="utf-8")
    for where, overrides in ((path, []), (None, ["top_k=" + "[" * 5000])):
        with pytest.raises(ConfigError) as caught:
            load_config(where, overrides)
        assert len(str(caught.value)) < 500
