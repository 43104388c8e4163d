"""A bundle's network rebuilt in PyTorch, and written as TorchScript."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import require
from logolens.export.step_graph import Graph, Step, axes_of, read_graph, refuse_unknown

__all__ = ["write_torchscript"]

_Array = npt.NDArray[Any]
Runner = Callable[[npt.NDArray[np.uint8]], _Array]


def write_torchscript(model: bytes, size: int, path: Path, texts: dict[str, str]) -> Runner:
    """Write a network as a TorchScript file that needs nothing but PyTorch.

    It takes uint8 of shape (n, size, size, 3) and gives probabilities and logits, (n, classes) each. ``texts`` stand in the
    file as extra files by the names of their keys.

    Returns:
        What runs the written file: images to probabilities.

    Raises:
        UsageError: the network has a step that is not known here.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    torch: Any = require("torch", "train")
    graph = read_graph(model)
    refuse_unknown(graph, [*_OPERATIONS, *_plain_operations(torch)], "PyTorch")
    # More than one image, so that the batch's size is not taken for a number that is always one.
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # That PyTorch would rather see torch.export used; TorchScript is what was asked for.
        traced = torch.jit.freeze(torch.jit.trace(_module(torch, graph), (example,), check_trace=False))
        torch.jit.save(traced, str(path), _extra_files={name: text.encode() for name, text in texts.items()})
        loaded = torch.jit.load(str(path), map_location="cpu")

    def run(images: npt.NDArray[np.uint8]) -> _Array:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(loaded(torch.from_numpy(images))[0].numpy())

    return run


def _module(torch: Any, graph: Graph) -> Any:
    """A module that does the graph's steps one after the other."""
    plain = _plain_operations(torch)

    class Replay(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.places = {name: f"value_{number}" for number, name in enumerate(graph.constants)}
            for name, place in self.places.items():
                self.register_buffer(place, torch.from_numpy(np.array(graph.constants[name])))

        def forward(self, image: Any) -> tuple[Any, Any]:
            values: dict[str, Any] = {"": None, "image": image}
            values |= {name: getattr(self, place) for name, place in self.places.items()}
            for step in graph.steps:
                given = [values[name] for name in step.inputs]
                operation = plain.get(step.op) or functools.partial(_OPERATIONS[step.op], torch, graph, step)
                result = operation(*given)
                results = result if isinstance(result, (tuple, list)) else (result,)
                values.update(zip(step.outputs, results, strict=False))
            return values["probabilities"], values["logits"]

    return Replay().eval()


def _plain_operations(torch: Any) -> dict[str, Callable[..., Any]]:
    """The operators that PyTorch has with the same arguments."""
    return {
        "Abs": torch.abs,
        "Add": torch.add,
        "Div": torch.div,
        "Erf": torch.erf,
        "Exp": torch.exp,
        "HardSwish": torch.nn.functional.hardswish,
        "Identity": lambda x: x,
        "MatMul": torch.matmul,
        "Mul": torch.mul,
        "Neg": torch.neg,
        "Pow": torch.pow,
        "Relu": torch.relu,
        "Sigmoid": torch.sigmoid,
        "Sqrt": torch.sqrt,
        "Sub": torch.sub,
        "Tanh": torch.tanh,
    }


def _ints(graph: Graph, name: str) -> list[int]:
    return [int(number) for number in np.atleast_1d(graph.constants[name])]


def _cast(torch: Any, _graph: Graph, step: Step, x: Any) -> Any:
    kinds = {
        1: torch.float32,
        2: torch.uint8,
        3: torch.int8,
        6: torch.int32,
        7: torch.int64,
        9: torch.bool,
        11: torch.float64,
    }
    return x.to(kinds[step.attributes["to"]])


def _clip(torch: Any, graph: Graph, step: Step, x: Any, *_bounds: Any) -> Any:
    # As numbers, not tensors: PyTorch fuses those.
    low, high = (float(graph.constants[name]) if name else None for name in (*step.inputs[1:], "", "")[:2])
    return torch.clamp(x, low, high)


def _padded(torch: Any, x: Any, pads: list[int], value: float = 0.0) -> Any:
    """Pad the last axes by ONNX's list: all beginnings, then all ends."""
    if not any(pads):
        return x
    half = len(pads) // 2
    turned = [side for axis in reversed(range(half)) for side in (pads[axis], pads[half + axis])]
    return torch.nn.functional.pad(x, turned, value=value)


def _conv(torch: Any, _graph: Graph, step: Step, x: Any, weight: Any, bias: Any = None) -> Any:
    given = step.attributes
    pads = list(given.get("pads", [0, 0, 0, 0]))
    even = pads[:2] == pads[2:]
    return torch.nn.functional.conv2d(
        x if even else _padded(torch, x, pads),
        weight,
        bias,
        stride=tuple(given.get("strides", (1, 1))),
        padding=tuple(pads[:2]) if even else 0,
        dilation=tuple(given.get("dilations", (1, 1))),
        groups=given.get("group", 1),
    )


def _max_pool(torch: Any, _graph: Graph, step: Step, x: Any) -> Any:
    given = step.attributes
    padded = _padded(torch, x, list(given.get("pads", [0, 0, 0, 0])), float("-inf"))
    return torch.nn.functional.max_pool2d(
        padded,
        tuple(given["kernel_shape"]),
        stride=tuple(given.get("strides", (1, 1))),
        dilation=tuple(given.get("dilations", (1, 1))),
        ceil_mode=bool(given.get("ceil_mode", 0)),
    )


def _average_pool(torch: Any, _graph: Graph, step: Step, x: Any) -> Any:
    given = step.attributes
    pads = list(given.get("pads", [0, 0, 0, 0]))
    even, counted = pads[:2] == pads[2:], bool(given.get("count_include_pad", 0))
    window: dict[str, Any] = {
        "kernel_size": tuple(given["kernel_shape"]),
        "stride": tuple(given.get("strides", (1, 1))),
        "ceil_mode": bool(given.get("ceil_mode", 0)),
    }
    pool = torch.nn.functional.avg_pool2d
    if even:
        return pool(x, **window, padding=tuple(pads[:2]), count_include_pad=counted)
    if counted:
        return pool(_padded(torch, x, pads), **window)
    there = _padded(torch, torch.ones_like(x[:1, :1]), pads)
    return pool(_padded(torch, x, pads), **window) / pool(there, **window)


def _reduce(torch: Any, graph: Graph, step: Step, x: Any, *_axes: Any) -> Any:
    axes = axes_of(step, graph.constants)
    over = axes if axes else tuple(range(x.dim()))
    work = {"ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceMin": torch.amin, "ReduceSum": torch.sum}[step.op]
    return work(x, dim=over, keepdim=bool(step.attributes.get("keepdims", 1)))


def _global_pool(torch: Any, _graph: Graph, step: Step, x: Any) -> Any:
    work = torch.mean if step.op == "GlobalAveragePool" else torch.amax
    return work(x, dim=(2, 3), keepdim=True)


def _gemm(torch: Any, _graph: Graph, step: Step, a: Any, b: Any, c: Any = None) -> Any:
    given = step.attributes
    a = a.t() if given.get("transA") else a
    b = b.t() if given.get("transB") else b
    product = given.get("alpha", 1.0) * torch.matmul(a, b)
    return product if c is None else product + given.get("beta", 1.0) * c


def _split(torch: Any, graph: Graph, step: Step, x: Any, *_sizes: Any) -> Any:
    axis = step.attributes.get("axis", 0)
    if len(step.inputs) > 1 and step.inputs[1]:
        return torch.split(x, _ints(graph, step.inputs[1]), dim=axis)
    return torch.chunk(x, len(step.outputs), dim=axis)


def _reshape(torch: Any, graph: Graph, step: Step, x: Any, _shape: Any) -> Any:
    shape = _ints(graph, step.inputs[1])
    return x.reshape([x.shape[axis] if side == 0 else side for axis, side in enumerate(shape)])


def _squeeze(torch: Any, graph: Graph, step: Step, x: Any, *_axes: Any) -> Any:
    axes = axes_of(step, graph.constants) or ()
    if step.op == "Squeeze":
        return torch.squeeze(x, axes)
    for axis in sorted(axes):
        x = torch.unsqueeze(x, axis)
    return x


def _pad(torch: Any, graph: Graph, step: Step, x: Any, *_more: Any) -> Any:
    value = float(graph.constants[step.inputs[2]]) if len(step.inputs) > 2 and step.inputs[2] else 0.0
    return _padded(torch, x, _ints(graph, step.inputs[1]), value)


def _normalise(torch: Any, _graph: Graph, step: Step, x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    return torch.nn.functional.batch_norm(x, mean, variance, scale, bias, eps=step.attributes.get("epsilon", 1e-5))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _normalise,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda torch, _, step, *values: torch.cat(values, dim=step.attributes["axis"]),
    "Conv": _conv,
    "Gather": lambda torch, _, step, x, places: torch.index_select(x, step.attributes.get("axis", 0), places),
    "Flatten": lambda torch, _, step, x: torch.flatten(x, step.attributes.get("axis", 1)),
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "HardSigmoid": lambda torch, _, step, x: torch.clamp(
        x * step.attributes.get("alpha", 0.2) + step.attributes.get("beta", 0.5), 0.0, 1.0
    ),
    "LeakyRelu": lambda torch, _, step, x: torch.nn.functional.leaky_relu(x, step.attributes.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceSum": _reduce,
    "Reshape": _reshape,
    "Softmax": lambda torch, _, step, x: torch.softmax(x, step.attributes.get("axis", -1)),
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": lambda torch, _, step, x: x.permute(step.attributes["perm"]),
    "Unsqueeze": _squeeze,
}
"""The operators whose attributes need a translation: (torch, graph, step, *values) to the result."""
