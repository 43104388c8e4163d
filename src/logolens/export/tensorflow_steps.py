"""The steps of a network in TensorFlow's operations.

TensorFlow wants the channels last where ONNX has them second. Values that come from the image are kept turned that way
from the first layer to the pooling, so that no step has to turn them back and forth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.export.step_graph import Graph, Step, axes_of

__all__ = ["OPERATIONS", "Value", "Work"]

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Value:
    """A tensor; ``turned`` when its ONNX axes (n, channels, height, width) are kept as (n, height, width, channels)."""

    tensor: Any
    turned: bool = False


class Work:
    """One step at work: its attributes, and its values as the operation wants them."""

    def __init__(self, tf: Any, graph: Graph, step: Step, weights: dict[str, Any], values: list[Value | None]) -> None:
        self.tf = tf
        self.step = step
        self.graph = graph
        self.weights = weights
        self.values = values

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.step.attributes.get(name, default)

    def has(self, number: int) -> bool:
        return len(self.step.inputs) > number and bool(self.step.inputs[number])

    def constant(self, number: int) -> _Array:
        """An input that is known beforehand, as an array."""
        return np.asarray(self.graph.constants[self.step.inputs[number]])

    def weight(self, number: int, turn: tuple[int, ...] = ()) -> Any:
        """An input that is known beforehand, as a variable that is saved once; ``turn`` reorders its axes."""
        key = f"{self.step.inputs[number]}|{turn}"
        if key not in self.weights:
            array = self.constant(number)
            array = np.ascontiguousarray(array.transpose(turn) if turn else array)
            with self.tf.init_scope():
                self.weights[key] = self.tf.Variable(array, trainable=False)
        return self.weights[key]

    def plain(self, number: int = 0) -> Any:
        """An input with its axes in ONNX's order."""
        value = self.values[number]
        if value is None:
            return self.tf.constant(self.constant(number))
        return self.tf.transpose(value.tensor, (0, 3, 1, 2)) if value.turned else value.tensor

    def turned(self, number: int = 0) -> Any:
        """An input of four axes, or a constant that is spread over such, with the channels last."""
        value = self.values[number]
        if value is None:
            array = self.constant(number)
            if array.ndim == 0:
                return self.tf.constant(array)
            array = array.reshape((1,) * (4 - array.ndim) + array.shape)
            return self.tf.constant(np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
        if value.turned or value.tensor.shape.rank == 0:
            return value.tensor
        return self.tf.transpose(value.tensor, (0, 2, 3, 1))

    @property
    def any_turned(self) -> bool:
        return any(value is not None and value.turned for value in self.values)

    def all(self) -> tuple[list[Any], bool]:
        """Every input, all in one order of axes, and whether it has the channels last."""
        turned = self.any_turned
        numbers = [number for number in range(len(self.step.inputs)) if self.has(number)]
        return [self.turned(number) if turned else self.plain(number) for number in numbers], turned


def _pointwise(operation: Callable[..., Any]) -> Callable[[Work], Value]:
    """An operation on each number for itself."""

    def run(work: Work) -> Value:
        values, turned = work.all()
        return Value(operation(work, *values), turned)

    return run


def _cast(work: Work) -> Value:
    tf = work.tf
    kinds = {1: tf.float32, 2: tf.uint8, 3: tf.int8, 6: tf.int32, 7: tf.int64, 9: tf.bool, 11: tf.float64}
    (value,), turned = work.all()
    return Value(tf.cast(value, kinds[work.get("to")]), turned)


def _clip(work: Work) -> Value:
    tf, turned = work.tf, work.any_turned
    low, high = (float(work.constant(n)) if work.has(n) else None for n in (1, 2))
    value = work.turned() if turned else work.plain()
    if (low, high) == (0.0, 6.0):
        return Value(tf.nn.relu6(value), turned)
    value = value if low is None else tf.maximum(value, low)
    return Value(value if high is None else tf.minimum(value, high), turned)


def _transpose(work: Work) -> Value:
    perm = tuple(work.get("perm"))
    if perm == (0, 3, 1, 2) and not work.any_turned:
        return Value(work.plain(), turned=True)
    if perm == (0, 2, 3, 1) and work.any_turned:
        return Value(work.turned())
    return Value(work.tf.transpose(work.plain(), perm))


def _same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """The padding that TensorFlow's "SAME" gives one axis."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def _conv(work: Work) -> Value:
    tf, x = work.tf, work.turned()
    channels, group = x.shape[-1], work.get("group", 1)
    kernel = work.constant(1).shape[2:]
    strides, dilations = list(work.get("strides", [1, 1])), list(work.get("dilations", [1, 1]))
    pads = list(work.get("pads", [0, 0, 0, 0]))
    wide = [(side - 1) * far + 1 for side, far in zip(kernel, dilations, strict=True)]
    same = [_same(*numbers) for numbers in zip(x.shape[1:3], wide, strides, strict=True)]
    padding = "VALID"
    if any(pads) and same == [(pads[0], pads[2]), (pads[1], pads[3])]:
        padding = "SAME"
    elif any(pads):
        x = tf.pad(x, [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
    if group == channels and group > 1:
        # (channels * m, 1, h, w) to (h, w, channels, m)
        key = f"{work.step.inputs[1]}|depthwise"
        if key not in work.weights:
            weight = work.constant(1)
            array = weight.reshape(channels, -1, *kernel).transpose(2, 3, 0, 1)
            with tf.init_scope():
                work.weights[key] = tf.Variable(np.ascontiguousarray(array), trainable=False)
        # TensorFlow has no depthwise convolution with two different strides.
        out = tf.nn.depthwise_conv2d(x, work.weights[key], [1, *strides, 1], padding, dilations=dilations)
    else:
        out = tf.nn.conv2d(x, work.weight(1, (2, 3, 1, 0)), strides, padding, dilations=dilations)
    return Value(tf.nn.bias_add(out, work.weight(2)) if work.has(2) else out, turned=True)


def _windows(work: Work, x: Any) -> tuple[list[int], list[int], list[list[int]], list[list[int]]]:
    """A pooling's window and steps, its padding, and what ``ceil_mode`` adds at the ends."""
    kernel, strides = list(work.get("kernel_shape")), list(work.get("strides", [1, 1]))
    pads = list(work.get("pads", [0, 0, 0, 0]))
    own = [[pads[0], pads[2]], [pads[1], pads[3]]]
    more = [[0, 0], [0, 0]]
    if work.get("ceil_mode", 0):
        for axis in range(2):
            length = x.shape[1 + axis] + sum(own[axis])
            count = -(-(length - kernel[axis]) // strides[axis]) + 1
            # A window that would begin in the padding at the end is left out, as PyTorch does.
            if (count - 1) * strides[axis] >= x.shape[1 + axis] + own[axis][0]:
                count -= 1
            more[axis][1] = max((count - 1) * strides[axis] + kernel[axis] - length, 0)
    return kernel, strides, own, more


def _around(pads: list[list[int]]) -> list[list[int]]:
    return [[0, 0], *pads, [0, 0]]


def _max_pool(work: Work) -> Value:
    tf, x = work.tf, work.turned()
    kernel, strides, own, more = _windows(work, x)
    pads = [[a + c, b + d] for (a, b), (c, d) in zip(own, more, strict=True)]
    if any(map(sum, pads)):
        x = tf.pad(x, _around(pads), constant_values=x.dtype.min)
    return Value(tf.nn.max_pool2d(x, kernel, strides, "VALID"), turned=True)


def _average_pool(work: Work) -> Value:
    tf, x = work.tf, work.turned()
    kernel, strides, own, more = _windows(work, x)
    if not any(map(sum, own + more)):
        return Value(tf.nn.avg_pool2d(x, kernel, strides, "VALID"), turned=True)
    ones = np.ones((1, *x.shape[1:3], 1), np.float32)
    ones = np.pad(ones, _around(own), constant_values=1.0 if work.get("count_include_pad", 0) else 0.0)
    ones = np.pad(ones, _around(more))
    pads = _around([[a + c, b + d] for (a, b), (c, d) in zip(own, more, strict=True)])
    counted = tf.nn.avg_pool2d(tf.constant(ones), kernel, strides, "VALID")
    return Value(tf.nn.avg_pool2d(tf.pad(x, pads), kernel, strides, "VALID") / counted, turned=True)


def _reduce(work: Work) -> Value:
    tf = work.tf
    axes = axes_of(work.step, work.graph.constants)
    keep = bool(work.get("keepdims", 1))
    operations = {
        "ReduceMean": tf.reduce_mean,
        "ReduceMax": tf.reduce_max,
        "ReduceMin": tf.reduce_min,
        "ReduceSum": tf.reduce_sum,
    }
    if work.step.op.startswith("Global"):
        axes, keep = (2, 3), True
        operation = tf.reduce_mean if work.step.op == "GlobalAveragePool" else tf.reduce_max
    else:
        operation = operations[work.step.op]
    if work.any_turned and axes is not None and {axis % 4 for axis in axes} == {2, 3}:
        return Value(operation(work.turned(), axis=[1, 2], keepdims=keep), turned=keep)
    return Value(operation(work.plain(), axis=list(axes) if axes else None, keepdims=keep))


def _gemm(work: Work) -> Value:
    tf = work.tf
    b = work.weight(1) if work.values[1] is None else work.plain(1)
    product = tf.matmul(
        work.plain(0), b, transpose_a=bool(work.get("transA", 0)), transpose_b=bool(work.get("transB", 0))
    )
    if work.get("alpha", 1.0) != 1.0:
        product = product * work.get("alpha")
    if work.has(2):
        product = product + (work.weight(2) if work.values[2] is None else work.plain(2)) * work.get("beta", 1.0)
    return Value(product)


def _matmul(work: Work) -> Value:
    return Value(work.tf.matmul(work.plain(0), work.weight(1) if work.values[1] is None else work.plain(1)))


def _concat(work: Work) -> Value:
    values, turned = work.all()
    axis = work.get("axis")
    return Value(work.tf.concat(values, (0, 3, 1, 2)[axis] if turned else axis), turned)


def _split(work: Work) -> list[Value]:
    parts: Any = [int(n) for n in work.constant(1)] if work.has(1) else len(work.step.outputs)
    return [Value(part) for part in work.tf.split(work.plain(), parts, axis=work.get("axis", 0))]


def _gather(work: Work) -> Value:
    return Value(work.tf.gather(work.plain(), work.constant(1).astype(np.int32), axis=work.get("axis", 0)))


def _flatten(work: Work) -> Value:
    x = work.plain()
    return Value(work.tf.reshape(x, [-1, int(np.prod(x.shape[1:]))]))


def _reshape(work: Work) -> Value:
    x = work.plain()
    now = work.tf.shape(x)
    shape = [now[axis] if side == 0 else int(side) for axis, side in enumerate(work.constant(1))]
    return Value(work.tf.reshape(x, shape))


def _squeeze(work: Work) -> Value:
    axes = axes_of(work.step, work.graph.constants) or ()
    value = work.plain()
    if work.step.op == "Squeeze":
        return Value(work.tf.squeeze(value, list(axes)))
    for axis in sorted(axes):
        value = work.tf.expand_dims(value, axis)
    return Value(value)


def _pad(work: Work) -> Value:
    numbers = [int(number) for number in work.constant(1)]
    pads = list(zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :], strict=True))
    value = float(work.constant(2)) if work.has(2) else 0.0
    if work.any_turned:
        turned = [pads[axis] for axis in (0, 2, 3, 1)]
        return Value(work.tf.pad(work.turned(), turned, constant_values=value), turned=True)
    return Value(work.tf.pad(work.plain(), pads, constant_values=value))


def _normalise(work: Work) -> Value:
    scale, bias, mean, variance = (work.constant(number) for number in range(1, 5))
    factor = scale / np.sqrt(variance + work.get("epsilon", 1e-5))
    return Value(work.turned() * work.tf.constant(factor) + work.tf.constant(bias - mean * factor), turned=True)


OPERATIONS: dict[str, Callable[[Work], Value | list[Value]]] = {
    "Abs": _pointwise(lambda work, x: work.tf.abs(x)),
    "Add": _pointwise(lambda work, a, b: a + b),
    "AveragePool": _average_pool,
    "BatchNormalization": _normalise,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _pointwise(lambda work, a, b: a / b),
    "Erf": _pointwise(lambda work, x: work.tf.math.erf(x)),
    "Exp": _pointwise(lambda work, x: work.tf.exp(x)),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _reduce,
    "GlobalMaxPool": _reduce,
    "HardSigmoid": _pointwise(
        lambda work, x: work.tf.clip_by_value(x * work.get("alpha", 0.2) + work.get("beta", 0.5), 0.0, 1.0)
    ),
    "HardSwish": _pointwise(lambda work, x: x * work.tf.nn.relu6(x + 3.0) * np.float32(1 / 6)),
    "Identity": _pointwise(lambda work, x: work.tf.identity(x)),
    "LeakyRelu": _pointwise(lambda work, x: work.tf.nn.leaky_relu(x, work.get("alpha", 0.01))),
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _pointwise(lambda work, a, b: a * b),
    "Neg": _pointwise(lambda work, x: -x),
    "Pad": _pad,
    "Pow": _pointwise(lambda work, a, b: work.tf.pow(a, b)),
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceSum": _reduce,
    "Relu": _pointwise(lambda work, x: work.tf.nn.relu(x)),
    "Reshape": _reshape,
    "Sigmoid": _pointwise(lambda work, x: work.tf.sigmoid(x)),
    "Softmax": lambda work: Value(work.tf.nn.softmax(work.plain(), axis=work.get("axis", -1))),
    "Split": _split,
    "Sqrt": _pointwise(lambda work, x: work.tf.sqrt(x)),
    "Squeeze": _squeeze,
    "Sub": _pointwise(lambda work, a, b: a - b),
    "Tanh": _pointwise(lambda work, x: work.tf.tanh(x)),
    "Transpose": _transpose,
    "Unsqueeze": _squeeze,
}
"""Each operator of ONNX that is known here."""
