"""What only the default index has: a mapped vocabulary and a search that imports next to nothing."""

import os
import subprocess
import sys
from pathlib import Path

import bm25s
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ragqa.backbone import child_environment
from ragqa.indexes.bm25 import Bm25Index


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=30), st.text(max_size=4))
def test_every_term_is_found_and_no_other(terms: list[str], other: str) -> None:
    index = Bm25Index()
    index.add([[term] for term in terms])
    for term in {*terms, other}:
        ((_, rows),) = index.search([[term]], 100)
        assert sorted(rows.tolist()) == [row for row, text in enumerate(terms) if text == term]


def test_scores_are_those_of_bm25s_own_search() -> None:
    drawn = np.random.default_rng(0)
    texts = [[f"w{n}" for n in drawn.integers(0, 60, size=drawn.integers(1, 30))] for _ in range(150)]
    theirs = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    theirs.index(texts, show_progress=False)
    ours = Bm25Index()
    ours.add(texts)
    for query in texts[:20]:
        wanted = theirs.get_scores(query)
        ((scores, rows),) = ours.search([query], 150)
        np.testing.assert_allclose(scores, wanted[rows], rtol=1e-5)
        assert len(rows) == int((wanted > 0).sum())


def test_loading_and_searching_import_neither_bm25s_nor_scipy(tmp_path: Path) -> None:
    index = Bm25Index()
    index.add([["a"], ["b"]])
    index.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from ragqa.indexes.bm25 import Bm25Index; index = Bm25Index();"
        f"index.load(Path({str(tmp_path)!r})); assert index.search([['b']], 1)[0][1].tolist() == [1];"
        "print(sorted({'bm25s', 'scipy', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_of_a_saved_index_is_a_pickle(tmp_path: Path) -> None:
    index = Bm25Index()
    index.add([["a", "水"], ["b"]])
    index.save(tmp_path)
    arrays = [path for path in tmp_path.iterdir() if path.suffix == ".npy"]
    assert arrays
    assert all(np.load(path, allow_pickle=False).dtype != object for path in arrays)
    others = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path not in arrays]
    assert all(text.isprintable() or text.startswith("{") for text in others)


def test_building_leaves_a_gpu_alone_where_jax_is_installed(tmp_path: Path) -> None:
    jax = tmp_path / "jax"
    jax.mkdir()
    (jax / "__init__.py").write_text(
        "import os, pathlib\n"
        "pathlib.Path(__file__).with_name('seen').write_text(os.environ.get('JAX_PLATFORMS', 'any'))\n"
        "raise ImportError('no JAX')\n"
    )
    build = "from ragqa.indexes.bm25 import Bm25Index; Bm25Index().add([['walrus'], ['heron']])"
    environment = {key: value for key, value in child_environment().items() if key != "JAX_PLATFORMS"}
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    subprocess.run([sys.executable, "-c", build], env=environment, check=True)
    assert (jax / "seen").read_text() == "cpu"
