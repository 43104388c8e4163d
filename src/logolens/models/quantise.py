"""Networks with 8-bit convolutions: how they are made, and how much faster they are. Running one needs ONNX Runtime alone."""

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError, require
from logolens.models.session import Session

__all__ = ["is_quantised", "quantised", "simplified", "speed_ratio"]

_BATCH = 8
_EIGHT_BIT = ("Add", "Clip", "Conv", "MatMul", "MaxPool", "Relu")


def simplified(model: bytes) -> Any:
    """A model with all worked out beforehand that can be: the constants, and what only moves or scales weights.

    Returns:
        An ``onnx.ModelProto`` of standard operators.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """
    import onnxruntime

    onnx: Any = require("onnx", "export")
    with tempfile.TemporaryDirectory(prefix="logolens-") as folder:
        path = Path(folder) / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # The basic level only: higher ones bring operators that ONNX Runtime alone knows.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        simple = onnx.load(str(path))
    # ONNX Runtime lists each set of operators that it knows, and spells the standard one in two ways.
    version = next(entry.version for entry in simple.opset_import if entry.domain in ("", "ai.onnx"))
    used = {node.domain for node in simple.graph.node} - {"", "ai.onnx"}
    kept = [entry for entry in simple.opset_import if entry.domain in used]
    del simple.opset_import[:]
    simple.opset_import.extend([onnx.helper.make_opsetid("", version), *kept])
    for node in simple.graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
    del simple.metadata_props[:]
    return simple


def is_quantised(model: bytes) -> bool:
    """Whether a network has 8-bit convolutions already."""
    return b"DequantizeLinear" in model


def quantised(model: bytes, images: npt.NDArray[np.uint8]) -> bytes:
    """Static post-training quantisation: 8-bit weights a channel, 8-bit maps with ranges taken from ``images``.

    The maps of the network are quantised (what has four axes: convolutions, their activations and sums) and a transformer's
    products of tokens with weights. Left as they are: the first convolution, which is cheap and sees every nuance of the image; a
    depthwise one right behind it with the next, whose channels are of so different ranges that most of what 8 bits lose is lost
    there; squeezed maps of one place; and what follows the maps, which is pooling, power normalisation, head and calibration.
    Ranges are the means of each batch's extremes, so that one odd photo does not stretch them.

    Weights keep to 7 of the 8 bits. Processors without instructions for products of bytes (VNNI and the like) add two of them
    in 16 bits, where full weights would be cut off and other processors would come to quite other features. What is left between
    processors is rounding: the last digit of a layer that is not quantised can tip one of the next by a step of 8 bits.

    Args:
        model: an ONNX model that takes ``image``: a backbone's, or a bundle's.
        images: uint8 of shape (n, size, size, 3), like those that the model is to see.

    Raises:
        UsageError: it has no convolutions that could be had in 8 bits, or has them so already.
        MissingExtraError: the package onnx is not installed.
    """
    if is_quantised(model):
        raise UsageError("This network is in 8 bits already.")
    onnx: Any = require("onnx", "export")
    require("onnx.shape_inference", "export")
    quantization: Any = require("onnxruntime.quantization", "export")
    simple = onnx.shape_inference.infer_shapes(simplified(model))
    for number, node in enumerate(simple.graph.node):
        node.name = node.name or f"step_{number}"
    chosen = _chosen(simple.graph)
    with tempfile.TemporaryDirectory(prefix="logolens-") as folder, _hushed():
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        onnx.save(simple, str(plain))
        quantization.quantize_static(
            str(plain),
            str(small),
            _reader(quantization, images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_EIGHT_BIT),
            nodes_to_quantize=chosen,
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            extra_options={"CalibMovingAverage": True},
        )
        return small.read_bytes()


def _chosen(graph: Any) -> list[str]:
    """The names of the nodes that are quantised."""
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    weights = {entry.name for entry in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    spared = {node.name for node in convolutions[:1]}
    if len(convolutions) > 3 and _groups(convolutions[1]) > 1:
        spared |= {node.name for node in convolutions[1:3]}

    def wanted(node: Any) -> bool:
        shape = shapes.get(node.output[0], [])
        if node.op_type == "MatMul":
            return len(shape) in (3, 4) and node.input[1] in weights
        return node.op_type in _EIGHT_BIT and len(shape) == 4 and shape[2:] != [1, 1]

    chosen = [node for node in graph.node if node.name not in spared and wanted(node)]
    if not any(node.op_type in ("Conv", "MatMul") for node in chosen):
        raise UsageError("Nothing in it can be had in 8 bits: it has no convolutions beside its first, and no tokens.")
    # A transformer's sums and norms between its products stay as they are: to and from 8 bits costs more than it gives.
    if not any(node.op_type == "Conv" for node in chosen):
        chosen = [node for node in chosen if node.op_type == "MatMul"]
    return [node.name for node in chosen]


def _groups(node: Any) -> int:
    return next((int(entry.i) for entry in node.attribute if entry.name == "group"), 1)


def _reader(quantization: Any, images: npt.NDArray[np.uint8]) -> Any:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            self._starts = iter(range(0, len(images), _BATCH))

        def get_next(self) -> Any:
            start = next(self._starts, None)
            return None if start is None else {"image": images[start : start + _BATCH]}

    return Reader()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """The quantiser advises people at its own command line."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)


def speed_ratio(before: Session, after: Session, images: npt.NDArray[np.uint8], seconds: float = 1.5) -> float:
    """How many times as fast one network is as another, both timed by turns in the same seconds.

    On a processor its own time counts, of the one thread that a network runs on, which other programs disturb less.
    """
    batch = images[: after.device.batch]
    on_processor = "cpu" in (before.device.name, after.device.name)
    fine = time.get_clock_info("thread_time").resolution < 1e-4  # Windows counts in steps of 16 ms.
    clock = time.thread_time if on_processor and fine else time.perf_counter
    for session in (before, after):
        session.run(batch)
    ratios: list[float] = []
    end = time.perf_counter() + seconds
    while len(ratios) < 5 or (time.perf_counter() < end and len(ratios) < 100):
        laps = []
        for session in (before, after):
            start = clock()
            session.run(batch)
            laps.append(clock() - start)
        ratios.append(laps[0] / laps[1])
    return statistics.median(ratios)
