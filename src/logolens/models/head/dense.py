"""What a head is, and what it learns from.

A head is one or two dense layers, held as NumPy arrays so that it can be used, saved and joined to the backbone's graph
without the library that fitted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.types import FloatArray32

__all__ = ["Epoch", "Examples", "Head"]

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Features with their truth.

    Attributes:
        features: float32 of shape (n, width).
        truth: int64 of shape (n,), positions in the list of classes.
        weight: float32 of shape (n,); how much each one counts.
    """

    features: FloatArray32
    truth: Labels
    weight: FloatArray32

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training features: losses are cross-entropies in nats, accuracies shares of photos."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None

    def row(self) -> dict[str, float | int | None]:
        """The epoch as a row of ``history.csv``."""
        return dict(vars(self))


@dataclass(frozen=True)
class Head:
    """Dense layers from features to logits, ReLU between them.

    Attributes:
        layers: (weights of shape (inputs, outputs), bias of shape (outputs,)) per layer, float32. The standardisation of
            the features is folded into the first layer.
        history: what each epoch of the fit gave.
        best_epoch: the epoch that was kept, counted from 1.
    """

    layers: tuple[tuple[FloatArray32, FloatArray32], ...]
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(weights.size + bias.size for weights, bias in self.layers)

    @property
    def outputs(self) -> int:
        """How many logits a view gets."""
        return len(self.layers[-1][1])

    def logits(self, features: FloatArray32) -> FloatArray32:
        """Logits of shape (n, classes) for features of shape (n, width)."""
        x = features
        for weights, bias in self.layers[:-1]:
            x = np.maximum(x @ weights + bias, 0.0)
        weights, bias = self.layers[-1]
        return np.asarray(x @ weights + bias, dtype=np.float32)

    def tensors(self) -> dict[str, FloatArray32]:
        """The layers by name, as ``head.safetensors`` keeps them: weights as (outputs, inputs)."""
        named: dict[str, FloatArray32] = {}
        for number, (weights, bias) in enumerate(self.layers):
            named[f"layers.{number}.weight"] = np.ascontiguousarray(weights.T)
            named[f"layers.{number}.bias"] = bias
        return named

    @staticmethod
    def from_tensors(tensors: Mapping[str, FloatArray32]) -> Head:
        """The inverse of `tensors`."""
        count = sum(name.endswith(".weight") for name in tensors)
        return Head(
            tuple(
                (np.ascontiguousarray(tensors[f"layers.{n}.weight"].T), tensors[f"layers.{n}.bias"])
                for n in range(count)
            )
        )
