"""A head as nodes of an ONNX graph, from ``head_input`` to ``logits``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.models.head.cosine import SMALL, CosineHead
from logolens.models.head.dense import Head

__all__ = ["nodes_of"]

Nodes = tuple[list[Any], list[Any]]


def nodes_of(onnx: Any, head: Head, opset: int) -> Nodes:
    """The nodes and constants of `Head.logits`; all names but ``head_input`` and ``logits`` begin with ``head.``."""
    if isinstance(head, CosineHead):
        return _cosine(onnx, head, opset)
    nodes, weights, value = [], [], "head_input"
    for number, (matrix, bias) in enumerate(head.layers):
        last = number == len(head.layers) - 1
        names = (f"head.{number}.weight", f"head.{number}.bias")
        weights += [
            onnx.numpy_helper.from_array(array, name) for array, name in zip((matrix, bias), names, strict=True)
        ]
        nodes.append(onnx.helper.make_node("Gemm", [value, *names], ["logits" if last else f"head.{number}.dense"]))
        if not last:
            nodes.append(onnx.helper.make_node("Relu", [f"head.{number}.dense"], [f"head.{number}.relu"]))
            value = f"head.{number}.relu"
    return nodes, weights


def _cosine(onnx: Any, head: CosineHead, opset: int) -> Nodes:
    nodes: list[Any] = []
    weights: list[Any] = []

    def constant(name: str, value: npt.ArrayLike, kind: Any = np.float32) -> str:
        weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value, dtype=kind), f"head.{name}"))
        return f"head.{name}"

    def node(op: str, inputs: list[str], *outputs: str, **how: Any) -> str:
        names = [output if output == "logits" else f"head.{output}" for output in outputs]
        nodes.append(onnx.helper.make_node(op, inputs, names, **how))
        return names[0]

    matrix, bias = head.layers[0]
    dense = node("Gemm", ["head_input", constant("0.weight", matrix), constant("0.bias", bias)], "0.dense")
    squares = node("Mul", [dense, dense], "squares")
    length = node("ReduceSum", [squares, constant("across", [1], np.int64)], "length2", keepdims=1)
    length = node("Sqrt", [node("Add", [length, constant("small", [SMALL])], "length3")], "length")
    unit = node("Div", [dense, length], "unit")

    similar = node("MatMul", [unit, constant("references", head.references.T)], "similar")
    best = _best(head, similar, node, constant, opset)
    best = node("Mul", [best, constant("nearest", [head.sharpness * head.nearest])], "best.part")
    means = head.means.T * (head.sharpness * (1.0 - head.nearest))
    mean = node("MatMul", [unit, constant("means", means)], "mean.part")
    both = node("Add", [mean, best], "both")
    asked = constant("thresholds", head.thresholds * head.sharpness)
    none = node("MatMul", [unit, constant("empty", head.empty[:, None] * head.sharpness)], "none")
    if head.background:
        node("Concat", [node("Sub", [both, asked], "labels"), none], "logits", axis=1)
    else:
        node("Sub", [node("Sub", [both, asked], "labels"), none], "logits")
    return nodes, weights


def _best(head: CosineHead, similar: str, node: Any, constant: Any, opset: int) -> str:
    """The best cosine of each label, of shape (n, labels).

    Labels of about as many references stand together, each filled up to a power of two with its first, so that a few
    reductions of whole blocks serve any number of labels.
    """
    counts = np.bincount(head.owners, minlength=head.labels)
    starts = np.searchsorted(head.owners, np.arange(head.labels))
    rooms = 2 ** np.ceil(np.log2(counts)).astype(int)
    columns: list[int] = []
    order: list[int] = []
    blocks: list[tuple[int, int]] = []
    for room in sorted(set(rooms.tolist())):
        members = np.flatnonzero(rooms == room).tolist()
        blocks.append((len(members), room))
        order += members
        for label in members:
            own = list(range(starts[label], starts[label] + counts[label]))
            columns += own + own[:1] * (room - len(own))
    if columns != list(range(len(head.owners))):
        similar = node("Gather", [similar, constant("columns", columns, np.int64)], "columns.of", axis=1)
    parts = [similar]
    if len(blocks) > 1:
        names = [f"block.{number}" for number in range(len(blocks))]
        sizes = constant("blocks", [labels * room for labels, room in blocks], np.int64)
        node("Split", [similar, sizes], *names, axis=1)
        parts = [f"head.{name}" for name in names]
    found = []
    for number, ((labels, room), part) in enumerate(zip(blocks, parts, strict=True)):
        shape = constant(f"shape.{number}", [0, labels, room], np.int64)
        cube = node("Reshape", [part, shape], f"cube.{number}")
        # From opset 18 on, ReduceMax takes its axes as an input.
        if opset < 18:
            found.append(node("ReduceMax", [cube], f"best.{number}", axes=[2], keepdims=0))
        else:
            within = constant(f"within.{number}", [2], np.int64)
            found.append(node("ReduceMax", [cube, within], f"best.{number}", keepdims=0))
    best = node("Concat", found, "best.blocks", axis=1) if len(found) > 1 else found[0]
    if order == list(range(head.labels)):
        return str(best)
    places = np.argsort(np.array(order, dtype=np.int64))
    return str(node("Gather", [best, constant("places", places, np.int64)], "best", axis=1))
