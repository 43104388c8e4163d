"""From a head's logits to an answer: probabilities that mean what they say, and ``none`` where no logo is seen.

The label and whether there is a logo at all are two questions. A softmax over the labels, at a fitted temperature, answers
the first; how far the best label stands above the background answers the second. The background is the last output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.metrics.logistic import fit_logistic

__all__ = ["Calibration", "calibrate", "choose", "label_margins", "margins", "rejection", "softmax"]

_MISSED = 0.02
"""The share of examples with a logo that a stricter threshold than was asked for may cost."""

Logits = npt.NDArray[np.floating[Any]]


def softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Probabilities from logits of shape (n, k), each row summing to one."""
    z = np.asarray(logits, dtype=np.float64)
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def margins(logits: Logits) -> npt.NDArray[np.float64]:
    """How far the best label stands above the background, the last output, in each row."""
    z = np.asarray(logits, dtype=np.float64)
    return np.asarray(z[:, :-1].max(axis=1) - z[:, -1])


def label_margins(logits: Logits, background: bool) -> npt.NDArray[np.float64]:
    """How far each label stands above the background, or, where none was learned, above all other labels together.

    Args:
        logits: of shape (n, outputs), the background's last where there is one.
        background: whether there is one.

    Returns:
        float64 of shape (n, labels); above 0 a label is likelier than not, as the head sees it.
    """
    z = np.asarray(logits, dtype=np.float64)
    if background:
        return z[:, :-1] - z[:, -1:]
    if z.shape[1] == 1:
        return z
    others = [np.delete(z, label, axis=1) for label in range(z.shape[1])]
    tops = [rest.max(axis=1) for rest in others]
    sums = [top + np.log(np.exp(rest - top[:, None]).sum(axis=1)) for rest, top in zip(others, tops, strict=True)]
    return np.asarray(z - np.stack(sums, axis=1))


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities.

    Attributes:
        temperature: divides the labels' logits before their softmax.
        threshold: the margin over the background at which a logo is as likely as none; None without a background.
        slope: how fast the probability of a logo grows with the margin.
    """

    temperature: float = 1.0
    threshold: float | None = None
    slope: float = 1.0

    def labels(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Probabilities of the labels, given that one of them shows; float64 of shape (n, labels)."""
        return self.given(logits if self.threshold is None else logits[:, :-1])

    def given(self, logits: Logits) -> npt.NDArray[np.float64]:
        """The same from logits of the labels alone, of shape (n, labels)."""
        return softmax(logits / self.temperature)

    def probabilities(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Probabilities of all outputs, the background's last; each row sums to one."""
        labels = self.labels(logits)
        if self.threshold is None:
            return labels
        return self.joint(labels, margins(logits))

    def joint(self, labels: npt.NDArray[np.float64], scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Probabilities of all outputs from those of the labels, given that one shows, and scores of whether one does.

        Args:
            labels: of shape (n, labels), each row summing to one.
            scores: of shape (n,), in the unit of the threshold; not used without a background.

        Returns:
            float64 of shape (n, outputs), the background's last where there is one.
        """
        if self.threshold is None:
            return labels
        shows = self.probability(scores)[:, None]
        return np.concatenate([labels * shows, 1.0 - shows], axis=1)

    def probability(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """How likely a logo is there, from scores of it in the unit of the threshold; 1 without a background."""
        if self.threshold is None:
            return np.ones(np.shape(scores))
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * (scores - self.threshold), -50, 50))))


def choose(probabilities: Sequence[float] | npt.NDArray[np.float64], background: bool) -> int:
    """The position of the answer: the background's where it is more likely than not, else the best label's."""
    last = len(probabilities) - 1
    if background and probabilities[last] > 0.5:
        return last
    return int(np.argmax(probabilities[:last] if background else probabilities))


def calibrate(
    logits: Logits, truth: npt.NDArray[np.int64], *, background: bool, max_false_alarms: float
) -> Calibration:
    """Fit a calibration on examples that the head did not learn from.

    The temperature minimises the cross-entropy of those that show a logo (temperature scaling: Guo et al., "On Calibration
    of Modern Neural Networks", 2017). The threshold is that of `rejection`. The slope minimises the cross-entropy of logo
    against none, both weighing the same (Platt scaling with its offset given).

    Args:
        logits: of shape (n, outputs).
        truth: positions of the true outputs, of shape (n,).
        background: whether the last output is the background.
        max_false_alarms: the share of views without a logo that may be given a label.
    """
    shows = truth < logits.shape[1] - 1 if background else np.ones(len(truth), dtype=bool)
    seen = np.asarray(logits[shows], dtype=np.float64)
    if background:
        seen = seen[:, :-1]
    temperature = _temperature(seen, truth[shows]) if len(seen) > 1 else 1.0
    if not background:
        return Calibration(temperature)
    if shows.all() or not len(seen):
        return Calibration(temperature, 0.0)
    return Calibration(temperature, *rejection(margins(logits), shows, max_false_alarms))


def rejection(
    scores: npt.NDArray[np.float64],
    shows: npt.NDArray[np.bool_],
    max_false_alarms: float,
    unknown: npt.NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """Threshold and slope that say whether a logo shows, from scores of examples that were not learned from.

    The threshold lets at most the given share of those without a logo pass. Where the two kinds stand apart, it lies between
    them, where either is as likely (by logistic regression), and not at the edge of those without: photos of other kinds than
    these will come, and strictness serves against them where it costs at most 2 % of those with a logo.

    Args:
        scores: of shape (n,).
        shows: whether a logo shows, of shape (n,); some must and some must not.
        max_false_alarms: the share of those without a logo that may be given a label.
        unknown: scores of photos that show logos of other brands, of which no larger share may be given a label either.
    """
    threshold = float(np.quantile(scores[~shows], 1.0 - max_false_alarms))
    stricter = min(_even(scores, shows), float(np.quantile(scores[shows], _MISSED)))
    threshold = max(threshold, stricter)
    if unknown is not None and len(unknown):
        threshold = max(threshold, float(np.quantile(unknown, 1.0 - max_false_alarms)))
        scores = np.concatenate([scores, unknown])
        shows = np.concatenate([shows, np.zeros(len(unknown), dtype=bool)])

    def slopes(slope: float) -> tuple[float, float]:
        first = second = 0.0
        for sign, members in ((1.0, shows), (-1.0, ~shows)):
            doubt = 1.0 / (members.sum() + 2.0)
            its = sign * (scores[members] - threshold)
            wrong = 1.0 / (1.0 + np.exp(np.clip(slope * its, -500.0, 500.0)))
            first += float(((doubt - wrong) * its).mean())
            second += float((wrong * (1.0 - wrong) * its**2).mean())
        return first, second

    return threshold, _least(slopes, 0.02, 20.0)


def _even(scores: npt.NDArray[np.float64], shows: npt.NDArray[np.bool_]) -> float:
    """The score at which both kinds are as likely, each weighing the same in all; Platt's smoothed targets keep it finite."""
    middle, spread = float(scores.mean()), float(scores.std()) + 1e-9
    x = np.stack([(scores - middle) / spread, np.ones(len(scores))], axis=1)
    share = np.where(shows, 0.5 / shows.sum(), 0.5 / (~shows).sum())
    target = np.where(shows, 1 - 1 / (shows.sum() + 2.0), 1 / ((~shows).sum() + 2.0))
    weights = fit_logistic(x, target, share, np.full(2, 1e-4))
    if weights[0] <= 1e-3:
        return -np.inf  # More does not speak for a logo here: there is nothing to lie between.
    return float(middle - spread * weights[1] / weights[0])


def _temperature(logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """The temperature of the least cross-entropy, with Platt's smoothed targets (1999).

    Photos that are all answered rightly do not prove that none ever would be wrong.
    """
    rows, labels = np.arange(len(logits)), logits.shape[1]
    doubt = 1.0 / (len(logits) + 2.0)
    # What is subtracted from a row changes none of its probabilities, and keeps exponentials within bounds.
    z = logits - logits.max(axis=1, keepdims=True)
    right = z[rows, truth]
    aimed = (1 - doubt) * right + doubt * (z.sum(axis=1) - right) / max(1, labels - 1)

    def slopes(sharpness: float) -> tuple[float, float]:
        likely = np.exp(sharpness * z)
        likely /= likely.sum(axis=1, keepdims=True)
        expected = np.einsum("ij,ij->i", likely, z)
        spread = np.einsum("ij,ij,ij->i", likely, z, z) - expected**2
        return float((expected - aimed).mean()), float(spread.mean())

    return 1.0 / _least(slopes, 1 / 20.0, 1 / 0.05)


def _least(slopes: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """The least point of a convex curve between two positive numbers, from its first and second derivatives.

    Newton's steps, and halves of what is left, on a scale of ratios, where these would leave it.
    """
    at = math.sqrt(low * high)
    for _ in range(60):
        first, second = slopes(at)
        if first == 0:
            break  # Found, or all are as good.
        if first > 0:
            high = at
        else:
            low = at
        before, at = at, at - first / second if second > 0 else 0.0
        if not low < at < high:
            at = math.sqrt(low * high)
        if abs(at - before) <= 1e-9 * before:
            break
    return at
