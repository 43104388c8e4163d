"""Intervals of any figure by drawing whole groups of images with replacement, and tests of one model against another.

The bootstrap is Efron's (1979) over clusters: near copies of one photo say one thing, so that they are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError
from logolens.metrics.scores import wilson_interval
from logolens.types import FloatArray64

__all__ = ["Draws", "Paired", "compare", "mcnemar"]

Interval = tuple[float, float]

_SAMPLES = 1000
_CHUNK = 4_000_000
"""Weights that are held at once."""


class Draws:
    """The same draws for every figure of one set of images.

    Args:
        groups: a key for each of n images; those that share one are drawn together.
        seed: the same seed gives the same draws.
        samples: how many.
    """

    def __init__(self, groups: Sequence[Hashable], *, seed: int = 0, samples: int = _SAMPLES) -> None:
        numbers: dict[Hashable, int] = {}
        self._member = np.array([numbers.setdefault(key, len(numbers)) for key in groups], dtype=np.int64)
        self._count = len(numbers)
        self._seed, self._samples = seed, samples

    def interval(self, figure: Callable[[FloatArray64], FloatArray64]) -> Interval | None:
        """The 95 % percentile interval of a figure.

        Args:
            figure: given how often each image was drawn, float64 of shape (draws, n), the figure of each draw; not a number
                where it is not defined.

        Returns:
            None where there are fewer than two groups, or the figure is hardly ever defined.
        """
        if self._count < 2:
            return None
        generator = np.random.default_rng(self._seed)
        values: list[FloatArray64] = []
        step = max(1, _CHUNK // max(len(self._member), self._count))
        for start in range(0, self._samples, step):
            size = min(step, self._samples - start)
            drawn = generator.multinomial(self._count, np.full(self._count, 1 / self._count), size=size)
            values.append(np.asarray(figure(drawn[:, self._member].astype(np.float64)), dtype=np.float64))
        known = np.concatenate(values)
        known = known[np.isfinite(known)]
        if len(known) < self._samples / 2:
            return None
        low, high = np.quantile(known, [0.025, 0.975])
        return float(low), float(high)

    def share(self, hits: npt.ArrayLike, among: npt.ArrayLike | None = None) -> Interval | None:
        """The interval of the share of hits, among some of the images or all of them; None where there are none.

        Where every draw would give one and the same share (all right, all wrong, a single group), the bootstrap knows of no
        spread, and Wilson's interval over the number of groups stands for its own.

        Raises:
            UsageError: there are more or fewer hits than images.
        """
        right = np.asarray(hits, dtype=np.float64)
        if len(right) != len(self._member):
            raise UsageError(
                f"A bootstrap needs a group for each image; got {len(right)} and {len(self._member)} groups."
            )
        if among is not None:
            within = np.flatnonzero(np.asarray(among))
            return Draws(self._member[within].tolist(), seed=self._seed, samples=self._samples).share(right[within])
        if not len(right):
            return None
        shares = np.bincount(self._member, weights=right) / np.bincount(self._member)
        if np.ptp(shares) == 0:
            return wilson_interval(round(float(shares[0]) * self._count), self._count)
        return self.interval(lambda weight: _ratio(weight @ right, weight.sum(axis=1)))


def _ratio(above: FloatArray64, below: FloatArray64) -> FloatArray64:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0), np.float64)


def mcnemar(only_one: int, only_other: int) -> float:
    """The chance that two models as good as one another differ at least so much (McNemar 1947, exact, two-sided).

    Args:
        only_one: images that the first alone answers rightly.
        only_other: images that the second alone answers rightly.
    """
    total, least = only_one + only_other, min(only_one, only_other)
    if total == 0:
        return 1.0
    tail = sum(math.comb(total, k) for k in range(least + 1))
    return float(min(1.0, 2 * tail / 2**total)) if total < 1000 else min(1.0, 2 * _tail(total, least))


def _tail(total: int, least: int) -> float:
    """P(X <= least) of a fair coin, in logarithms, where its integers would be thousands of digits long."""
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(least + 1)
    ]
    top = max(logs)
    return math.exp(top) * sum(math.exp(value - top) for value in logs)


@dataclass(frozen=True)
class Paired:
    """Two models asked about the same images.

    Attributes:
        n: how many images both answered.
        top1: the share that the first answers rightly.
        other_top1: the share that the second answers rightly.
        difference: of the two; above 0 the first is better.
        difference_ci95: its 95 % interval, by paired bootstrap over groups of near copies.
        only_this: images that the first alone answers rightly.
        only_other: images that the second alone answers rightly.
        p: of McNemar's exact test; it takes images to be independent.
    """

    n: int
    top1: float
    other_top1: float
    difference: float
    difference_ci95: Interval | None
    only_this: int
    only_other: int
    p: float


def compare(
    right: npt.ArrayLike, other: npt.ArrayLike, groups: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Paired:
    """Hold two models' answers to the same n images against one another.

    Args:
        right: (n,) whether the first answered rightly.
        other: (n,) whether the second did.
        groups: n keys of images that belong together.

    Raises:
        UsageError: the lengths differ, or there are no images.
    """
    one, two = np.asarray(right, dtype=bool), np.asarray(other, dtype=bool)
    if len(one) == 0 or one.shape != two.shape or (groups is not None and len(groups) != len(one)):
        raise UsageError(f"A comparison needs two answers to each image; got {len(one)} and {len(two)}.")
    gap = one.astype(np.float64) - two
    draws = Draws(groups if groups is not None else range(len(one)), seed=seed)
    only_this, only_other = int((one & ~two).sum()), int((two & ~one).sum())
    return Paired(
        n=len(one),
        top1=float(one.mean()),
        other_top1=float(two.mean()),
        difference=float(gap.mean()),
        difference_ci95=draws.interval(lambda weight: _ratio(weight @ gap, weight.sum(axis=1))),
        only_this=only_this,
        only_other=only_other,
        p=mcnemar(only_this, only_other),
    )
