"""What a pair's expert learns: where two drawings differ, and how much each opinion counts. Numbers alone, no photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logolens.metrics.logistic import fit_logistic
from logolens.models.pairwise.hog import WIDTH
from logolens.models.pairwise.pair import Difference
from logolens.types import FloatArray64

__all__ = ["difference", "losses", "right", "weigh"]

Truth = npt.NDArray[np.bool_]

_RIDGE = 0.1
"""Of the rule over cells, in units of a photo's mean square; a third and three times as much give the same."""

_HOLD = 0.02
"""What holds the weights of opinions where they are expected, in units of their own spread."""

_TRUST = 0.5
"""The weight expected of the stack's opinion; the others' is 0. The stack was not fitted for these two labels alone."""


def difference(examples: Sequence[tuple[npt.NDArray[np.float32], bool]]) -> Difference | None:
    """Where two drawings differ, by ridge regression in the space of the photos; both labels weigh the same.

    Args:
        examples: of each photo, its rows of cells (`Laid.drawn`), and whether it shows the first label.

    Returns:
        None where fewer than two photos of either label could be laid flat.
    """
    sides = [shows for rows, shows in examples if len(rows)]
    if min(sides.count(True), sides.count(False)) < 2:
        return None
    drawn = np.concatenate([rows for rows, _ in examples])
    shows = np.array([side for rows, side in examples for _ in range(len(rows))])
    middle = drawn.mean(axis=0)
    x = (drawn - middle).astype(np.float64)
    kernel = x @ x.T
    scale = float(np.trace(kernel)) / len(x) + 1e-9
    share = np.where(shows, 0.5 / shows.mean(), 0.5 / (~shows).mean())
    solved = np.linalg.solve(kernel / scale + _RIDGE * np.diag(1.0 / share), np.where(shows, 1.0, -1.0))
    weights = (x.T @ solved / scale).astype(np.float32)
    assert weights.shape == (WIDTH,)
    return Difference(weights, middle)


def weigh(table: FloatArray64, truth: Truth) -> FloatArray64:
    """Weights of opinions by logistic regression without an offset, none below 0; both labels weigh the same.

    Args:
        table: of shape (photos, opinions), each above 0 where it speaks for the first label; the first opinion in log-odds.
        truth: whether that is the label, of shape (photos,).

    Returns:
        float64 of shape (opinions,): they turn a row into the log-odds of the first label.
    """
    scale = np.sqrt((table**2).mean(axis=0)) + 1e-9
    x = table / scale
    share = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~truth).sum()))
    used = [column for column in range(x.shape[1]) if scale[column] > 1e-6]
    # The first opinion is in log-odds already.
    expected = np.zeros(x.shape[1])
    expected[0] = _TRUST * scale[0]
    weights = np.zeros(x.shape[1])
    while used:
        found = fit_logistic(x[:, used], truth, share, np.full(len(used), _HOLD), expected=expected[used])
        if (found >= 0).all():
            weights[used] = found
            break
        # More of what speaks for a label must never speak against it.
        used = [column for column, weight in zip(used, found, strict=True) if weight >= 0]
    return np.asarray(weights / scale)


def losses(odds: FloatArray64, truth: Truth) -> FloatArray64:
    """Nats that log-odds of the first label cost each photo."""
    return np.asarray(np.logaddexp(0.0, np.where(truth, -odds, odds)))


def right(odds: FloatArray64, truth: Truth) -> float:
    """The share of photos whose label the log-odds tell; a draw is half right."""
    return float(np.where(odds == 0, 0.5, (odds > 0) == truth).mean())
