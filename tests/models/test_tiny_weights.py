"""Weights that are subnormal numbers, in made networks and in those that read writing."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from logolens.models.tiny_weights import without_tiny_weights
from logolens.models.words import Reader, reads

onnx = pytest.importorskip("onnx")


def network(weights: np.ndarray) -> bytes:
    """One matrix product with these weights, float32 of shape (n, m)."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [value("x", onnx.TensorProto.FLOAT, [1, weights.shape[0]])],
        [value("y", onnx.TensorProto.FLOAT, [1, weights.shape[1]])],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.arange(3), "others")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def weights_of(model: bytes) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(model).graph.initializer]


def test_what_is_tiny_is_0_and_all_else_stays_to_the_bit() -> None:
    weights = np.array([[1.5, -1e-40], [3e-21, -2.0], [1e-19, 0.0]], np.float32)
    before = network(weights)
    after = without_tiny_weights(before)
    changed, others = weights_of(after)
    assert np.array_equal(changed, np.array([[1.5, 0.0], [0.0, -2.0], [1e-19, 0.0]], np.float32))
    assert np.array_equal(others, np.arange(3))
    assert len(after) == len(before)
    plain = network(np.array([[1.0, -2.0]], np.float32))
    assert without_tiny_weights(plain) == plain


@pytest.mark.parametrize("data", [b"\xff", b"\x3a\x7f", b"\x07"])
def test_what_is_no_network_is_refused(data: bytes) -> None:
    with pytest.raises((IndexError, ValueError)):
        without_tiny_weights(data)


@pytest.mark.skipif(not reads(), reason="the extra words is not installed")
def test_the_reader_has_none_and_its_detector_answers_as_the_file_does() -> None:
    from logolens.models.words.reader import _models

    path = _models()[0]
    weights = np.concatenate([np.abs(one).ravel() for one in weights_of(path.read_bytes()) if one.dtype == np.float32])
    assert ((weights > 0) & (weights < np.finfo(np.float32).tiny)).any()
    as_it_is = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, 96, 128)).astype(np.float32)
    (expected,) = as_it_is.run(None, {"x": pixels})
    (found,) = Reader()._detector.run(None, {"x": pixels})
    assert np.abs(found - expected).max() <= 1e-6
