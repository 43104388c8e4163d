"""Softmax regression by mini-batch gradient descent, as the classic retraining script does it.

The one thing that differs is the scale of the features: they are standardised, so that the classic step sizes (0.01, 0.005)
and a few hundred steps are enough whatever the network's features measure. The step itself is plain gradient descent.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError
from logolens.models.head import Examples, Head
from logolens.types import FloatArray32

__all__ = ["Regression", "batches"]

Rows = npt.NDArray[np.int64]


def batches(truth: Rows, size: int, seed: int) -> Iterator[Rows]:
    """Endless batches of rows: for each place a label is drawn, every label as likely, then one of its rows.

    Args:
        truth: each row's label, as a position.
        size: rows a batch; -1 gives all rows, in order, each time.
        seed: of the draws.
    """
    if size < 0:
        everything = np.arange(len(truth))
        while True:
            yield everything
    random = np.random.default_rng(seed)
    order = np.argsort(truth, kind="stable")
    starts = np.searchsorted(truth[order], np.arange(truth.max() + 2))
    counts = np.diff(starts)
    while True:
        labels = random.integers(0, len(counts), size)
        yield order[starts[labels] + random.integers(0, counts[labels])]


class Regression:
    """A softmax layer in training.

    Args:
        examples: what is learned from; they also decide the scale of the features.
        classes: how many labels there are, each with an example.
        learning_rate: the step size.
    """

    def __init__(self, examples: Examples, classes: int, learning_rate: float) -> None:
        self._mean = examples.features.mean(axis=0)
        spread = examples.features.std(axis=0)
        # A feature that hardly moves in training says nothing, and must not be blown up where it does move.
        self._std = (spread + 1e-3 * spread.mean() + 1e-6).astype(np.float32)
        self._x = self._scaled(examples.features)
        self._truth = examples.truth
        self._rate = np.float32(learning_rate)
        self._weights = np.zeros((examples.features.shape[1], classes), dtype=np.float32)
        self._bias = np.zeros(classes, dtype=np.float32)

    def _scaled(self, features: FloatArray32) -> FloatArray32:
        return np.asarray((features - self._mean) / self._std, dtype=np.float32)

    def step(self, rows: Rows) -> tuple[float, float]:
        """One step down the gradient of a batch; returns its accuracy and cross-entropy before the step.

        Raises:
            UsageError: the numbers have grown beyond all bounds.
        """
        x, truth = self._x[rows], self._truth[rows]
        accuracy, loss, probabilities = self._judge(x, truth)
        probabilities[np.arange(len(rows)), truth] -= 1.0
        probabilities /= len(rows)
        with np.errstate(all="ignore"):  # The next look at the numbers finds what has overflown.
            self._weights -= self._rate * (x.T @ probabilities)
            self._bias -= self._rate * probabilities.sum(axis=0)
        return accuracy, loss

    def measure(self, rows: Rows) -> tuple[float, float]:
        """Accuracy and cross-entropy, in nats, on these rows of the training examples.

        Raises:
            UsageError: as in `step`.
        """
        return self._judge(self._x[rows], self._truth[rows])[:2]

    def judge(self, examples: Examples) -> tuple[float, float]:
        """Accuracy and cross-entropy, in nats, on other examples.

        Raises:
            UsageError: as in `step`.
        """
        return self._judge(self._scaled(examples.features), examples.truth)[:2]

    def _judge(self, x: FloatArray32, truth: Rows) -> tuple[float, float, FloatArray32]:
        """Accuracy, mean cross-entropy, and the probabilities."""
        # Divergence is told in a sentence, not in NumPy's warnings.
        with np.errstate(all="ignore"):
            logits = x @ self._weights + self._bias
            shifted = logits - logits.max(axis=1, keepdims=True)
            exponents = np.exp(shifted)
            sums = exponents.sum(axis=1, keepdims=True)
            loss = float((np.log(sums[:, 0]) - shifted[np.arange(len(truth)), truth]).mean())
        if not np.isfinite(loss):
            raise UsageError(f"The training diverged; give a learning_rate smaller than {self._rate:g}.")
        return float((logits.argmax(axis=1) == truth).mean()), loss, np.asarray(exponents / sums, dtype=np.float32)

    def head(self) -> Head:
        """The layer as it stands, for features as they are: the scale is folded into it."""
        weights = self._weights.astype(np.float64) / self._std[:, None]
        bias = self._bias - self._mean @ weights
        return Head(((np.ascontiguousarray(weights, dtype=np.float32), bias.astype(np.float32)),))
