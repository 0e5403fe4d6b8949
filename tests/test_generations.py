"""What readers of an index meet: whole generations, or an error that names the fault and the mend."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragqa.errors import IndexDamaged, IndexError_, IndexMismatch, IndexMissing
from ragqa.generations import CURRENT, GENERATIONS, Pointer, open_generation, read_current
from ragqa.manifest import FORMAT_VERSION, MANIFEST, FileEntry, Manifest, check_fingerprint
from ragqa.publishing import Draft, writer_lock

FINGERPRINT = {"encoder": "minilm/53aa/bf16", "analysis": 1, "splitter": {"name": "recursive", "size": 256}}
CONTENTS = {
    "catalog.sqlite": b"rows" * 300,
    "vectors/faiss.index": bytes(range(256)),
    "terms/data.npy": b"\0" * 64,
}


def publish(index: Path, contents: dict[str, bytes] = CONTENTS) -> Path:
    with writer_lock(index, 1), Draft(index, FINGERPRINT) as draft:
        for name, data in contents.items():
            path = draft.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return draft.publish({"passages": 3})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published once; tests that damage it put every byte back."""
    place = tmp_path_factory.mktemp("generations") / "kb"
    publish(place)
    return place


def forge(index: Path, record: object) -> None:
    """Replace the manifest, and CURRENT with it, as someone would who knows how checksums work."""
    raw = json.dumps(record).encode()
    old = read_current(index)
    new = Pointer.of(old.number, hashlib.sha256(raw).hexdigest())
    folder = (index / GENERATIONS / old.name).rename(index / GENERATIONS / new.name)
    (folder / MANIFEST).write_bytes(raw)
    (index / CURRENT).write_bytes(new.encode())


def read_and_verify(index: Path) -> None:
    with open_generation(index) as generation:
        generation.verify_all()


def test_a_generation_holds_what_was_published(index: Path) -> None:
    with open_generation(index) as generation:
        generation.verify_all()
        assert generation.manifest.fingerprint == FINGERPRINT
        assert generation.manifest.counts == {"passages": 3}
        assert generation.manifest.total_bytes == sum(map(len, CONTENTS.values()))
        for name, data in CONTENTS.items():
            assert generation.verified(name).read_bytes() == data


def test_a_folder_is_verified_with_everything_in_it(index: Path) -> None:
    with open_generation(index) as generation:
        folder = generation.verified("vectors")
        assert sorted(path.name for path in folder.iterdir()) == ["faiss.index"]
        with pytest.raises(IndexDamaged, match="holds no vec"):
            generation.verified("vec")


def test_nothing_published_names_the_command_that_makes_an_index(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "not there", tmp_path / "not" / "there"):
        with pytest.raises(IndexMissing, match="ragqa index PATH --index") as caught:
            open_generation(place)
        assert str(place) in str(caught.value)
    (tmp_path / "file").write_text("hello")
    with pytest.raises(IndexMissing):
        open_generation(tmp_path / "file")


FILES = [*CONTENTS, MANIFEST, CURRENT]


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(name=CURRENT, place=0.999, bit=0)
@example(name=MANIFEST, place=0.999, bit=1)
def test_one_flipped_bit_anywhere_is_found_and_its_file_named(
    index: Path, name: str, place: float, bit: int
) -> None:
    path = index / CURRENT if name == CURRENT else index / GENERATIONS / read_current(index).name / name
    good = path.read_bytes()
    bad = bytearray(good)
    bad[int(place * len(bad))] ^= 1 << bit
    path.write_bytes(bad)
    try:
        with pytest.raises(IndexDamaged, match=name) as caught:
            read_and_verify(index)
    finally:
        path.write_bytes(good)
    assert "ragqa index --rebuild PATH" in caught.value.next_step
    read_and_verify(index)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_grown_is_found_when_the_index_is_opened(index: Path, name: str) -> None:
    path = index / CURRENT if name == CURRENT else index / GENERATIONS / read_current(index).name / name
    good = path.read_bytes()
    for bad in (good[:-1], good[: len(good) // 2], b"", good + b"\0", good + good):
        path.write_bytes(bad)
        with pytest.raises(IndexDamaged, match=name):
            open_generation(index)
    path.write_bytes(good)
    read_and_verify(index)


def test_a_missing_file_is_named_when_the_index_is_opened(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    (folder / "vectors/faiss.index").unlink()
    with pytest.raises(IndexDamaged, match=r"vectors/faiss\.index is missing"):
        open_generation(tmp_path)


def test_a_file_lost_after_opening_is_named_when_it_is_wanted(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    with open_generation(tmp_path) as generation:
        (folder / "terms/data.npy").unlink()
        with pytest.raises(IndexDamaged, match=r"terms/data\.npy cannot be read \(No such file"):
            generation.verified("terms")


def test_a_foreign_file_is_refused_but_desktop_litter_is_not(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    (folder / "vectors/.DS_Store").write_text("litter")
    read_and_verify(tmp_path)
    (folder / "vectors/extra.npy").write_text("planted")
    with pytest.raises(IndexDamaged, match=r"vectors/extra\.npy does not belong there"):
        open_generation(tmp_path)


def test_a_link_in_place_of_a_file_is_refused_even_with_the_same_bytes(tmp_path: Path) -> None:
    folder = publish(tmp_path / "kb")
    inside, outside = folder / "catalog.sqlite", tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(IndexDamaged, match=r"catalog\.sqlite is damaged"):
        open_generation(tmp_path / "kb")


@pytest.mark.parametrize(
    "text",
    [
        "../../../etc 0",
        "..",
        "",
        "00000001-12345678",
        "00000001-12345678 " + "0" * 64 + "\n",
        "../../generations/00000001-12345678 12345678" + "0" * 56 + "\n",
        "00000001-12345678 12345678" + "0" * 56 + "\n",
        "٠٠٠٠٠٠٠١-12345678 12345678" + "0" * 56 + "\n",
    ],
)
def test_a_forged_current_opens_nothing(tmp_path: Path, text: str) -> None:
    publish(tmp_path)
    (tmp_path / CURRENT).write_text(text)
    with pytest.raises(IndexDamaged, match=CURRENT):
        open_generation(tmp_path)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../b", "a//b", "./a", ".", "", "a\\b", "a\0b", MANIFEST, "a/"]
)
def test_a_forged_manifest_reaches_no_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    publish(tmp_path)
    files = {name: {"sha256": "0" * 64, "bytes": 1}}
    forge(
        tmp_path, {"format": FORMAT_VERSION, "fingerprint": {}, "created": "", "counts": {}, "files": files}
    )
    with pytest.raises(IndexDamaged, match="no path inside the generation"):
        open_generation(tmp_path)


@pytest.mark.parametrize("record", [[], {}, None, "x", {"format": 1}, {"format": 1, "files": [1]}])
def test_a_manifest_of_another_shape_is_damage(tmp_path: Path, record: object) -> None:
    publish(tmp_path)
    forge(tmp_path, record)
    with pytest.raises(IndexDamaged, match="is not a manifest"):
        open_generation(tmp_path)


def test_another_format_version_is_refused_with_both_versions_and_the_mend(tmp_path: Path) -> None:
    publish(tmp_path)
    forge(tmp_path, {"format": 3, "everything": "else may differ"})
    with pytest.raises(IndexMismatch, match=f"format 3, this ragqa reads {FORMAT_VERSION}.*--rebuild PATH"):
        open_generation(tmp_path)


def test_an_unreadable_place_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / CURRENT).mkdir()
    with pytest.raises(IndexError_, match="cannot be read: Is a directory") as caught:
        open_generation(tmp_path)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.builds(
        Manifest,
        fingerprint=st.dictionaries(st.text(max_size=8), json_values, max_size=4),
        created=st.text(),
        files=st.dictionaries(
            st.from_regex(r"[a-zé][a-z0-9. ]{0,5}(/[a-z]{1,4}){0,2}", fullmatch=True).filter(MANIFEST.__ne__),
            st.builds(
                FileEntry, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 2**60)
            ),
            max_size=4,
        ),
        counts=st.dictionaries(st.text(max_size=8), st.integers(0, 2**60), max_size=4),
    )
)
def test_a_manifest_survives_being_written(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode(), Path("x/manifest.json"), "") == manifest


def test_an_equal_fingerprint_is_accepted_in_any_order_and_with_tuples_for_lists() -> None:
    manifest = Manifest({"b": [1, 2], "a": {"x": 1, "y": {}}}, "", {})
    check_fingerprint(manifest, {"a": {"y": {}, "x": 1}, "b": (1, 2)}, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": "bge/9f1c/int8"}, ["encoder", '"minilm/53aa/bf16"', '"bge/9f1c/int8"']),
        ({"splitter": {"name": "recursive", "size": 128}}, ["splitter.size", "256", "128"]),
        ({"analysis": True}, ["analysis", "1", "true"]),
        ({"stop_words": "none"}, ["stop_words", "unset", '"none"']),
        ({"analysis": 2, "encoder": "bge"}, ["analysis", "also different: encoder"]),
    ],
)
def test_another_fingerprint_is_refused_with_both_values_and_the_mend(
    index: Path, change: dict[str, object], says: list[str]
) -> None:
    with (
        open_generation(index) as generation,
        pytest.raises(IndexMismatch, match="ragqa index --reembed PATH") as caught,
    ):
        check_fingerprint(generation.manifest, FINGERPRINT | change, "ragqa index --reembed PATH")
    for part in says:
        assert part in str(caught.value)


def test_a_setting_that_is_no_longer_asked_for_is_named(index: Path) -> None:
    fewer = {key: value for key, value in FINGERPRINT.items() if key != "analysis"}
    with open_generation(index) as generation, pytest.raises(IndexMismatch, match=r"analysis 1, .* unset"):
        check_fingerprint(generation.manifest, fewer, "")


def test_a_folder_in_the_place_of_current_is_named_and_replaced_by_the_next_publication(
    tmp_path: Path,
) -> None:
    index = tmp_path / "kb"
    publish(index)
    (index / CURRENT).unlink()
    (index / CURRENT / "inside").mkdir(parents=True)
    with pytest.raises(IndexDamaged, match="CURRENT cannot be read"):
        open_generation(index)
    publish(index)
    read_and_verify(index)
