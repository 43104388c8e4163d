"""How features are scaled before something linear is learned from them."""

from __future__ import annotations

import numpy as np

from logolens.types import FloatArray32, FloatArray64

__all__ = ["mean_and_spread"]

_CHUNK = 4_000_000
"""Numbers that are held in float64 at once."""

_ROUNDED = 1e-6
"""The spread, in shares of the mean, below which a feature does not vary: float32 holds no more digits."""

_LEAST = 1e-3
"""The least spread that a feature is divided by, in shares of the median feature's."""


def mean_and_spread(features: FloatArray32) -> tuple[FloatArray64, FloatArray64]:
    """The mean of each feature, and what to divide it by so that it spreads by about 1.

    Sums are of float64: of float32, the mean of a thousand equal values misses them by rounding, which would pass for their
    spread, and a feature that is constant in training (a ReLU6 at its limit) would be blown up ten thousand times where it is
    not. Likewise, one that hardly varies says nothing, and is divided by no less than a thousandth of the usual spread.

    Args:
        features: of shape (n, width).

    Returns:
        Two arrays of shape (width,); the second is above 0 everywhere.
    """
    step = max(1, _CHUNK // max(1, features.shape[1]))
    mean = features.mean(axis=0, dtype=np.float64)
    squares = np.zeros(features.shape[1])
    for start in range(0, len(features), step):
        squares += np.square(features[start : start + step] - mean).sum(axis=0)
    spread = np.sqrt(squares / len(features))
    varies = spread > _ROUNDED * np.abs(mean)
    usual = float(np.median(spread[varies])) if varies.any() else 1.0
    return mean, np.maximum(np.where(varies, spread, usual), _LEAST * usual) + 1e-6
