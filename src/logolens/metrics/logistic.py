"""Logistic regression by Newton's steps, for a few columns and rows that weigh differently."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logolens.types import FloatArray64

__all__ = ["fit_logistic", "nonnegative_logistic", "sigmoid"]

_STEPS = 50
_DONE = 1e-8
_SHORTEST = 1e-6

_RIDGE = 1e-3
"""How strongly a weight that may not be negative is held to 0, its column having a standard deviation of 1."""


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


def nonnegative_logistic(
    table: FloatArray64, truth: npt.NDArray[np.bool_], share: FloatArray64 | None = None
) -> FloatArray64:
    """Weights of a logistic regression, none of which is negative; columns that say nothing, or the contrary, weigh 0.

    Args:
        table: of shape (n, columns).
        truth: what is to be told from it, of shape (n,); some must hold and some must not.
        share: how much each row counts, of shape (n,); both cases the same in all if not given.
    """
    if share is None:
        share = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~truth).sum()))
    scale = table.std(axis=0) + 1e-9
    used = [number for number in range(table.shape[1]) if np.ptp(table[:, number]) > 1e-9]
    weights = np.zeros(table.shape[1])
    while used:
        x = np.concatenate([table[:, used] / scale[used], np.ones((len(table), 1))], axis=1)
        ridge = np.array([_RIDGE] * len(used) + [1e-9])
        fitted = fit_logistic(x, truth, share, ridge)[:-1] / scale[used]
        if (fitted >= 0).all():
            weights[used] = fitted
            break
        used = [number for number, one in zip(used, fitted, strict=True) if one >= 0]
    return weights
