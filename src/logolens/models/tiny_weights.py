"""Weights so small that they change no answer but cost most of the time: taken for 0.

A product of a float32 below 1.2e-38 in size (a subnormal number, IEEE 754) takes some processors a hundred times as long as any
other. Training with weight decay leaves such weights in channels that died.
"""

from __future__ import annotations

import numpy as np

from logolens.io.protobuf import protobuf_fields

__all__ = ["without_tiny_weights"]

_TINY = 1e-20
"""Weights below this size are 0: beside any other that is added up with them they are less than its rounding, and above it no
product with what a network computes is subnormal."""

_GRAPH, _INITIALISER = 7, 5
_TYPE, _RAW = 2, 9
_FLOAT = 1
"""The numbers of fields in onnx.proto that lead to a tensor's values, and that of float32."""


def without_tiny_weights(model: bytes) -> bytes:
    """An ONNX model, of the same length, whose float32 weights below 1e-20 in size are 0.

    Args:
        model: an ONNX file's bytes, with its weights inside.

    Raises:
        IndexError, ValueError: it is no ONNX file.
    """
    data = bytearray(model)
    for number, graph in protobuf_fields(memoryview(data)):
        if number != _GRAPH or not isinstance(graph, memoryview):
            continue
        for kind, tensor in protobuf_fields(graph):
            if kind != _INITIALISER or not isinstance(tensor, memoryview):
                continue
            fields = dict(protobuf_fields(tensor))
            raw = fields.get(_RAW)
            if fields.get(_TYPE) == _FLOAT and isinstance(raw, memoryview):
                values = np.frombuffer(raw, dtype="<f4")
                values[np.abs(values) < _TINY] = 0.0
    return bytes(data)
