"""What a model file says of itself, read without the package onnx: whether it points outside itself."""

from __future__ import annotations

from pathlib import Path

from logolens.errors import BundleError
from logolens.io.protobuf import protobuf_fields

__all__ = ["refuse_harmful"]

# The numbers of the fields that lead to tensors in onnx.proto; read here by hand because the core has no onnx package.
_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}


_CONTROL = frozenset(
    {("model", 20), ("model", 25), ("attribute", 6), ("attribute", 11)}  # training, functions, graphs within nodes
)
_OPERATORS = frozenset({b"Loop", b"If", b"Scan", b"SequenceMap"})


def _view(value: memoryview | int) -> memoryview:
    return value if isinstance(value, memoryview) else memoryview(b"")


def refuse_harmful(data: bytes, path: Path) -> None:
    """Refuse a model with external data (it could name any file of the machine), sparse tensors, control flow (it could go on
    for ever) or functions of its own.

    Raises:
        BundleError: it has such, or is no ONNX file at all.
    """
    try:
        stack, flows = [("model", memoryview(data))], False
        while stack:
            kind, message = stack.pop()
            for number, value in protobuf_fields(message):
                if (kind, number) in _CONTROL or (kind == "node" and number == 4 and bytes(_view(value)) in _OPERATORS):
                    flows = True
                if kind == "tensor" and (number == 13 or (number == 14 and value == 1)):
                    raise BundleError(
                        f"{path} keeps weights in another file, which is not accepted; train or export it again."
                    )
                if (inner := _NESTED.get(kind, {}).get(number)) and isinstance(value, memoryview):
                    if inner == "sparse":
                        raise BundleError(
                            f"{path} holds sparse tensors, which are not accepted; train or export it again."
                        )
                    stack.append((inner, value))
    except (IndexError, ValueError) as error:
        raise BundleError(f"{path} is not an ONNX file; copy or train the bundle again.") from error
    if flows:
        raise BundleError(
            f"{path} holds loops, branches or functions, which no network of ours has and which are not accepted; train or "
            "export it again."
        )
