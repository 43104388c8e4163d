"""What a network is made of, layer by layer, as plain values that need no PyTorch to be read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """One layer of a network, as ``logolens summary`` shows it.

    Attributes:
        name: the dotted name of the module inside the network.
        kind: the module's class.
        shape: shape of what it gives for one image, without the batch's dimension.
        parameters: numbers that the layer itself holds, not those of layers inside it.
        trainable: whether any of them would change in training.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    trainable: bool
