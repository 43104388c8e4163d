"""A bundle's network with 8-bit convolutions: smaller, and faster where the processor multiplies bytes."""

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import require
from logolens.export.step_graph import simplified
from logolens.models.session import Session

__all__ = ["quantised", "speed_ratio"]

_BATCH = 16
_EIGHT_BIT = ("Add", "Clip", "Conv", "MaxPool", "Relu")


def quantised(model: bytes, images: npt.NDArray[np.uint8]) -> bytes:
    """Static post-training quantisation: 8-bit weights a channel, 8-bit maps with ranges taken from ``images``.

    The maps of the network are quantised (what has four axes: convolutions, their activations and sums), but neither its
    first convolution, which is cheap and sees every nuance of the image, nor what follows its maps: pooling, power
    normalisation, head and calibration stay as exact as they were. Ranges are the means of each batch's extremes, so
    that one odd photo does not stretch them.

    Args:
        model: a bundle's ONNX model.
        images: uint8 of shape (n, size, size, 3), like those that the model is to see.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """
    onnx: Any = require("onnx", "export")
    require("onnx.shape_inference", "export")
    quantization: Any = require("onnxruntime.quantization", "export")
    simple = onnx.shape_inference.infer_shapes(simplified(model))
    axes = {value.name: len(value.type.tensor_type.shape.dim) for value in simple.graph.value_info}
    for number, node in enumerate(simple.graph.node):
        node.name = node.name or f"step_{number}"
    first = next((node.name for node in simple.graph.node if node.op_type == "Conv"), None)
    chosen = [
        node.name
        for node in simple.graph.node
        if node.op_type in _EIGHT_BIT and axes.get(node.output[0]) == 4 and node.name != first
    ]
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
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            extra_options={"CalibMovingAverage": True},
        )
        return small.read_bytes()


def _reader(quantization: Any, images: npt.NDArray[np.uint8]) -> Any:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            self._starts = iter(range(0, len(images), _BATCH))

        def get_next(self) -> Any:
            start = next(self._starts, None)
            return None if start is None else {"image": images[start : start + _BATCH]}

    return Reader()


@contextlib.contextmanager
def _hushed() -> Any:
    """The quantiser advises people at its own command line."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)


def speed_ratio(before: Session, after: Session, images: npt.NDArray[np.uint8], seconds: float = 1.5) -> float:
    """How many times as fast one network is as another, on one processor, both timed by turns in the same seconds."""
    batch = images[:8]
    for session in (before, after):
        session.run(batch)
    ratios: list[float] = []
    end = time.perf_counter() + seconds
    while len(ratios) < 5 or (time.perf_counter() < end and len(ratios) < 100):
        laps = []
        for session in (before, after):
            start = time.perf_counter()
            session.run(batch)
            laps.append(time.perf_counter() - start)
        ratios.append(laps[0] / laps[1])
    return statistics.median(ratios)
