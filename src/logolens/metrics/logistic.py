"""Logistic regression by Newton's steps, for a few columns and rows that weigh differently."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logolens.types import FloatArray64

__all__ = ["fit_logistic", "sigmoid"]

_STEPS = 50
_DONE = 1e-8
_SHORTEST = 1e-6


def sigmoid(values: FloatArray64) -> FloatArray64:
    """1 / (1 + exp(-x)), with x kept within 30 of 0 so that nothing overflows or comes to exactly 0 or 1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))))


def fit_logistic(
    table: FloatArray64,
    target: npt.NDArray[np.floating | np.bool_],
    share: FloatArray64,
    ridge: FloatArray64,
    *,
    expected: FloatArray64 | None = None,
) -> FloatArray64:
    """The weights that minimise the cross-entropy and a quadratic penalty, by Newton's steps that never raise the loss.

    Args:
        table: of shape (n, columns); a column of ones gives an offset.
        target: what each row shows, from 0 to 1, of shape (n,).
        share: how much each row counts, of shape (n,).
        ridge: strength of each column's penalty, of shape (columns,), above 0.
        expected: the weights that the penalty pulls to; 0 if not given.

    Returns:
        float64 of shape (columns,).
    """
    middle = np.zeros(table.shape[1]) if expected is None else expected
    wanted = np.asarray(target, dtype=np.float64)

    def loss(weights: FloatArray64) -> float:
        z = table @ weights
        return float(share @ (np.logaddexp(0.0, z) - wanted * z) + (ridge * (weights - middle) ** 2).sum() / 2)

    weights, now = middle.copy(), loss(middle)
    for _ in range(_STEPS):
        probability = sigmoid(table @ weights)
        slope = table.T @ (share * (probability - wanted)) + ridge * (weights - middle)
        bend = (table * (share * probability * (1 - probability))[:, None]).T @ table + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        length = 1.0
        while (then := loss(weights - length * step)) > now and length > _SHORTEST:
            length /= 2
        weights, now = weights - length * step, then
        if np.abs(length * step).max() < _DONE:
            break
    return weights
