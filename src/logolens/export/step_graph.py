"""A bundle's network as plain steps on arrays, for frameworks that are to do the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError, require
from logolens.models.quantise import simplified

__all__ = ["Graph", "Step", "axes_of", "read_graph", "refuse_unknown", "weight_names"]

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Attributes:
        op: the operator's name in ONNX.
        inputs: names of values; empty where an optional one is left out.
        outputs: names of values.
        attributes: numbers, texts, lists of them, and arrays.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """A network: its steps in an order in which they can be done, from ``image`` to ``probabilities`` and ``logits``.

    Attributes:
        steps: the operations.
        constants: weights and other fixed values by name.
        opset: the version of the operators.
    """

    steps: tuple[Step, ...]
    constants: dict[str, _Array]
    opset: int


def read_graph(model: bytes) -> Graph:
    """The steps of a bundle's network, simplified."""
    simple = simplified(model)
    onnx: Any = require("onnx", "export")
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in simple.graph.initializer}
    steps = []
    for node in simple.graph.node:
        attributes = {entry.name: _plain(onnx, onnx.helper.get_attribute_value(entry)) for entry in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            constants[node.output[0]] = attributes["value"]
        else:
            name = node.op_type if not node.domain else f"{node.domain}.{node.op_type}"
            steps.append(Step(name, tuple(node.input), tuple(node.output), attributes))
    return Graph(tuple(steps), constants, simple.opset_import[0].version)


def _plain(onnx: Any, value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def refuse_unknown(graph: Graph, known: Sequence[str], where: str) -> None:
    """Refuse a network with a step that has no counterpart in another framework.

    Raises:
        UsageError: there is one.
    """
    if unknown := sorted({step.op for step in graph.steps} - set(known)):
        raise UsageError(
            f"This bundle's network cannot be rebuilt in {where}: it uses {', '.join(unknown)}. "
            "Export it as onnx, which every such network can be, or train on a backbone of another family."
        )


def weight_names(model: Any) -> dict[str, str]:
    """Names for the weights of a model that tell where they stand in the network.

    PyTorch's exporter numbers the weights that it has merged with a normalisation ("onnx::Conv_675"); the operation that
    uses one says where it belongs: "/blocks/blocks.0/blocks.0.0/conv_dw/Conv" gives "blocks.0.0.conv_dw.weight".

    Returns:
        The names in the model to the names that are told, all different.
    """
    users = Counter(name for node in model.graph.node for name in node.input)
    descriptive: dict[str, str] = {}
    for node in model.graph.node:
        for name, role in zip(node.input[1:3], ("weight", "bias"), strict=False):
            if node.op_type in ("Conv", "Gemm") and name.startswith("onnx::") and users[name] == 1 and node.name:
                descriptive[name] = f"{_place(node.name)}.{role}"
    times = Counter(descriptive.values())
    names = {entry.name: descriptive.get(entry.name, entry.name) for entry in model.graph.initializer}
    taken = Counter(names.values())
    return {name: new if times[new] <= 1 and taken[new] == 1 else name for name, new in names.items()}


def _place(node: str) -> str:
    """ "/a/a.0/a.0.1/b/Conv" to "a.0.1.b": a part that repeats the one before it takes its place."""
    parts: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return re.sub(r"\s+", "_", ".".join(parts)) or "network"


def axes_of(step: Step, constants: dict[str, _Array]) -> tuple[int, ...] | None:
    """The axes of a reduction or a (un)squeeze, which newer operators take as a second input; None for all."""
    if "axes" in step.attributes:
        return tuple(int(axis) for axis in step.attributes["axes"])
    if len(step.inputs) > 1 and step.inputs[1]:
        return tuple(int(axis) for axis in np.atleast_1d(constants[step.inputs[1]]))
    return None
