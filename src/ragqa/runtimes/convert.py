"""Child process: torch weights → OpenVINO files. The only place of serving that imports torch and NNCF.

python -m ragqa.runtimes.convert KIND SOURCE PRECISION TARGET
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ragqa.devices import clips_int8
from ragqa.errors import RagqaError
from ragqa.layout import Layout, read_layout
from ragqa.runtimes.batches import Batch, feed, pad
from ragqa.runtimes.compiled import ARRAYS
from ragqa.runtimes.openvino import UNCACHED
from ragqa.runtimes.telemetry import load_openvino

INPUTS = Batch._fields


def convert(kind: str, source: Path, precision: str, target: Path) -> None:
    """Write ``model.xml`` and ``model.bin`` of the model in ``source`` into the existing folder ``target``.

    What is computed beside the network, with arrays of its own, finds them there as well.

    ``precision`` is "f32", which also serves bf16, or "int8".

    Raises:
        ModelError: weights that are missing, damaged or of another kind.
    """
    from ragqa.runtimes import networks

    network = networks.build(kind, source)
    if isinstance(network, networks.SourceEncoder):
        save_file(network.arrays(), target / ARRAYS)
    model = trace(network)
    if precision == "int8":
        model = quantise(model, kind, read_layout(source))
    # Half-precision storage would halve the file, but "f32" shall mean the published weights.
    load_openvino().save_model(model, target / "model.xml", compress_to_fp16=False)
    if not survives_caching(target):
        (target / UNCACHED).touch()


def survives_caching(folder: Path) -> bool:
    """Whether the model computes the same after a compiled graph without weights was stored and loaded again.

    OpenVINO 2026.4 loses small constants of some graphs on that way, without a word: a prompt of 20 vectors came back
    with 21 of them cut off, or failed at the first text.
    """
    with tempfile.TemporaryDirectory() as cache:
        found: list[list[Any]] = []
        for settings in ({}, *[{"CACHE_DIR": cache, "CACHE_MODE": "OPTIMIZE_SIZE"}] * 2):
            try:
                found.append(_computed(folder, settings))
            except RuntimeError:
                if not found:
                    raise
                return False
    first, *others = found
    return all(
        mine.shape == theirs.shape and np.allclose(mine, theirs, atol=1e-3)
        for other in others
        for mine, theirs in zip(first, other, strict=True)
    )


def _computed(folder: Path, settings: Mapping[str, str]) -> list[Any]:
    """What the model makes of two rows, by a core of its own: one that has compiled it would not read the cache.

    The core is gone before the next one comes (see ``telemetry.shared_core``).
    """
    compiled = (
        load_openvino()
        .Core()
        .compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32", **settings})
    )
    outputs = compiled(feed(compiled, pad([[101, 7, 8, 9, 102], [101, 7, 102]])))
    return [np.array(outputs[port]) for port in compiled.outputs]


def trace(network: Any) -> Any:
    """An OpenVINO model that computes ``network`` for any N and L."""
    import torch

    openvino = load_openvino()
    # Two rows of unlike length, or tracing would see an all-ones mask and drop it.
    example = {name: torch.from_numpy(part) for name, part in pad([[1] * 8, [1] * 5])._asdict().items()}
    shapes = [(name, [-1, -1], openvino.Type.i64) for name in INPUTS]
    with torch.no_grad():
        return openvino.convert_model(network, example_input=example, input=shapes)


def quantise(model: Any, kind: str, layout: Layout) -> Any:
    """``model`` with 8-bit weights and activations, calibrated on texts of the project's own (NNCF).

    Two choices bring the least cosine over Cranfield's abstracts from 0.990 to 0.997 (docs/log.md): less smoothing
    than NNCF's 0.95 (Xiao et al. 2022, arXiv:2211.10438), and float arithmetic where the first layers read their GELU.
    """
    load_openvino()
    import nncf

    names = [name for port in model.inputs for name in port.names & set(INPUTS)]
    samples = [{name: getattr(batch, name) for name in names} for batch in _calibration(kind, layout)]
    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=sensitive(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # None is NNCF's default; ENABLE uses half the range of 8 bits, whose sums such a CPU can hold.
            overflow_fix=nncf.OverflowFix.ENABLE if clips_int8() else None,
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=0.65),
        ),
    )


def sensitive(model: Any) -> list[str]:
    """The matrix products that read a GELU, in the first half of the layers.

    There its largest outputs, always at the first or last token, are some 150 times the median and ten times
    the 99.9th percentile (all-MiniLM: 24, 20, 17, 14 in the first four layers, 7 and 5 in the last two); eight
    bits cannot hold both.
    """
    products = [op for op in model.get_ordered_ops() if op.get_type_name() == "MatMul"]
    after_gelu = [
        op.get_friendly_name() for op in products if op.input_value(0).get_node().get_type_name() == "Gelu"
    ]
    return after_gelu[: len(after_gelu) // 2]


def _calibration(kind: str, layout: Layout) -> Iterator[Batch]:
    from tokenizers import Tokenizer

    from ragqa.runtimes.calibration import QUESTIONS, texts

    tokenizer = Tokenizer.from_file(str(layout.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(256, layout.max_tokens))
    for place, text in enumerate(texts()):
        # A reader or reranker sees question and passage together, an encoder sees one text.
        pair = (text,) if kind == "encoder" else (QUESTIONS[place % len(QUESTIONS)], text)
        encoded = tokenizer.encode(*pair)
        yield pad([encoded.ids])._replace(kinds=np.array([encoded.type_ids], dtype=np.int64))


def main(arguments: list[str]) -> int:
    kind, source, precision, target = arguments
    try:
        convert(kind, Path(source), precision, Path(target))
    except RagqaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
