"""The head as a PyTorch module, and what its answers to the validation views are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from logolens.metrics import auroc
from logolens.models.calibration import calibrate, margins
from logolens.models.head import Epoch, Head
from logolens.types import FloatArray32

__all__ = ["DenseHead", "cross_entropy", "figures"]


class DenseHead(nn.Module):  # type: ignore[misc, unused-ignore]
    """A `Head` as a module, on features scaled so that one step size serves every pooling.

    Args:
        head: where it begins.
        scale: what features are multiplied by before the first layer.
        dropout: share of hidden units left out in training.
    """

    def __init__(self, head: Head, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        for number, (weights, bias) in enumerate(head.layers):
            layer = nn.Linear(*weights.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weights.T.copy()) / (scale if number == 0 else 1.0))
                layer.bias.copy_(torch.from_numpy(bias))
            self.layers.append(layer)

    def forward(self, features: Tensor) -> Tensor:
        x = features * self.scale
        for layer in self.layers[:-1]:
            x = self.dropout(torch.relu(layer(x)))
        return self.layers[-1](x)

    def to_head(self, history: Sequence[Epoch] = (), best_epoch: int = 0) -> Head:
        """The layers as NumPy arrays, the scale folded in."""
        pairs = []
        for number, layer in enumerate(self.layers):
            weight = layer.weight.detach().cpu().float() * (self.scale if number == 0 else 1.0)
            pairs.append((np.ascontiguousarray(weight.numpy().T), layer.bias.detach().cpu().float().numpy().copy()))
        return Head(tuple(pairs), tuple(history), best_epoch)


def cross_entropy(logits: FloatArray32, truth: npt.NDArray[np.int64]) -> float:
    """The mean cross-entropy, in nats."""
    return float(nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth)))


def figures(
    logits: FloatArray32, truth: npt.NDArray[np.int64], background: bool, max_false_alarms: float
) -> dict[str, float | None]:
    """Cross-entropy at the best temperature, accuracy, and how well logo and none are told apart."""
    temperature = calibrate(logits, truth, background=False, max_false_alarms=max_false_alarms).temperature
    row: dict[str, float | None] = {
        "loss": round(cross_entropy(np.asarray(logits / temperature, dtype=np.float32), truth), 5),
        "accuracy": round(float((logits.argmax(1) == truth).mean()), 5),
        "auroc": None,
    }
    shows = truth < logits.shape[1] - 1
    if background and shows.any() and not shows.all():
        above = margins(logits)
        row["auroc"] = auroc(above[shows], above[~shows])
    return row
