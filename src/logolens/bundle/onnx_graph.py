"""A backbone, a head and its calibration as one ONNX model, and the way back to the backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from logolens.errors import require
from logolens.models.calibration import Calibration
from logolens.models.head.onnx_nodes import nodes_of

if TYPE_CHECKING:
    from logolens.models.head import Head

__all__ = ["attach_head", "strip_head"]


def strip_head(model: bytes) -> bytes:
    """The network of a bundle without its head: what `attach_head` was given, or as good as that.

    Returns:
        An ONNX model that gives ``features``, and the maps that the bundle's gives.
    """
    onnx: Any = require("onnx", "train")
    whole = onnx.load_model_from_string(model)
    graph = whole.graph
    maps = [output for output in graph.output if output.name in ("last", "middle")]
    wanted, kept = {"features", *(output.name for output in maps)}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    nodes = list(reversed(kept))
    constants = [entry for entry in graph.initializer if entry.name in wanted]
    features = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, None)
    made = onnx.helper.make_graph(nodes, "backbone", list(graph.input), [features, *maps], constants)
    base = onnx.helper.make_model(made, opset_imports=list(whole.opset_import), ir_version=whole.ir_version)
    return bytes(base.SerializeToString())


def attach_head(backbone: Path | bytes, head: Head, calibration: Calibration) -> bytes:
    """One ONNX model from an exported backbone, a head and its calibration.

    Args:
        backbone: the exported network, a file or its bytes.
        head: the fitted head.
        calibration: of the whole photo's logits.

    Returns:
        The model's bytes. Input ``image`` as the backbone's; outputs ``probabilities`` and ``logits``, float32 of shape
        (n, classes), and the backbone's maps ``last`` and ``middle`` where it gives them.
    """
    onnx: Any = require("onnx", "train")
    require("onnx.compose", "train")
    base = onnx.load_model_from_string(backbone) if isinstance(backbone, bytes) else onnx.load(str(backbone))
    opset = base.opset_import[0].version
    nodes, weights = nodes_of(onnx, head, opset)
    more, constants = _calibrated(onnx, calibration, head.outputs, opset)
    nodes, weights = nodes + more, weights + constants
    kind, width, classes = onnx.TensorProto.FLOAT, head.layers[0][0].shape[0], head.outputs
    graph = onnx.helper.make_graph(
        nodes,
        "head",
        [onnx.helper.make_tensor_value_info("head_input", kind, ["n", width])],
        [onnx.helper.make_tensor_value_info(name, kind, ["n", classes]) for name in ("probabilities", "logits")],
        weights,
    )
    tail = onnx.helper.make_model(graph, opset_imports=list(base.opset_import), ir_version=base.ir_version)
    joined = onnx.compose.merge_models(base, tail, io_map=[("features", "head_input")])
    joined.producer_name = "logolens"
    onnx.checker.check_model(joined)
    return bytes(joined.SerializeToString())


def _calibrated(onnx: Any, calibration: Calibration, classes: int, opset: int) -> tuple[list[Any], list[Any]]:
    """The nodes and constants of `Calibration.probabilities`, from ``logits`` to ``probabilities``."""
    node = onnx.helper.make_node

    def constant(name: str, value: Any, kind: type) -> Any:
        return onnx.numpy_helper.from_array(np.array(value, dtype=kind), name)

    constants = [constant("temperature", calibration.temperature, np.float32)]
    if calibration.threshold is None:
        return [
            node("Div", ["logits", "temperature"], ["labels.scaled"]),
            node("Softmax", ["labels.scaled"], ["probabilities"], axis=1),
        ], constants
    # From opset 18 on, ReduceMax takes its axes as an input.
    if opset < 18:
        best = node("ReduceMax", ["labels.logits"], ["labels.best"], axes=[1], keepdims=1)
    else:
        best = node("ReduceMax", ["labels.logits", "across"], ["labels.best"], keepdims=1)
        constants.append(constant("across", [1], np.int64))
    constants += [
        constant("parts", [classes - 1, 1], np.int64),
        constant("threshold", calibration.threshold, np.float32),
        constant("slope", calibration.slope, np.float32),
        constant("one", 1.0, np.float32),
    ]
    return [
        node("Split", ["logits", "parts"], ["labels.logits", "background.logit"], axis=1),
        node("Div", ["labels.logits", "temperature"], ["labels.scaled"]),
        node("Softmax", ["labels.scaled"], ["labels.given"], axis=1),
        best,
        node("Sub", ["labels.best", "background.logit"], ["margin"]),
        node("Sub", ["margin", "threshold"], ["margin.above"]),
        node("Mul", ["margin.above", "slope"], ["margin.scaled"]),
        node("Sigmoid", ["margin.scaled"], ["shows"]),
        node("Mul", ["labels.given", "shows"], ["labels.joint"]),
        node("Sub", ["one", "shows"], ["none"]),
        node("Concat", ["labels.joint", "none"], ["probabilities"], axis=1),
    ], constants
