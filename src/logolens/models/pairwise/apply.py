"""The pairs of a bundle, and what they change of an answer: how a pair's probability is divided among its two labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from logolens.config import MatcherSettings
from logolens.io.views import Picture
from logolens.models.matcher import Keypoints
from logolens.models.pairwise.pair import Pair, Sighting
from logolens.types import FloatArray64

__all__ = ["PairDecision", "PairwiseExperts", "divide", "in_doubt", "log_odds"]


_DOUBT = 0.005
"""The probability that the less likely of two must have, for the photo to be looked at once more."""


@dataclass(frozen=True)
class PairDecision:
    """What the expert of a pair decided.

    Attributes:
        labels: the two.
        odds: the log-odds of the first against the second, by all that is known.
        ensemble_odds: the same by the ensemble, without the expert.
        sighting: what geometry says.
    """

    labels: tuple[str, str]
    odds: float
    ensemble_odds: float
    sighting: Sighting


@dataclass(frozen=True)
class PairwiseExperts:
    """The experts for all pairs of a bundle.

    Attributes:
        pairs: one for each pair.
        labels: of the bundle, in the order of the probabilities.
    """

    pairs: tuple[Pair, ...]
    labels: tuple[str, ...]

    def decide(
        self,
        picture: Picture,
        labels: FloatArray64,
        probability: float,
        sought: tuple[MatcherSettings, Keypoints] | None = None,
    ) -> tuple[FloatArray64, tuple[PairDecision, ...]]:
        """Probabilities of the labels, those of pairs in doubt divided anew; each pair keeps its sum.

        Args:
            picture: the photo.
            labels: of shape (labels,), given that one of them shows.
            probability: how likely one of them shows at all.
            sought: the photo's key points, and how they were sought, where that has been done.

        Raises:
            ImageError: the photo cannot be decoded.
        """
        decisions = []
        for pair, (first, second) in self._doubtful(labels, probability):
            sighting = pair.see(picture, sought)
            ensemble_odds = log_odds(labels, first, second)
            odds = pair.odds(ensemble_odds, sighting)
            labels = divide(labels, first, second, odds)
            decisions.append(PairDecision(pair.labels, odds, ensemble_odds, sighting))
        return labels, tuple(decisions)

    def ordered(self, probabilities: FloatArray64, labels: FloatArray64) -> FloatArray64:
        """Probabilities that labels are there, the two of a pair swapped where the division says otherwise.

        Args:
            probabilities: of shape (labels,).
            labels: the same given that one of them shows, divided.
        """
        found = probabilities.copy()
        for pair in self.pairs:
            two = [self.labels.index(name) for name in pair.labels]
            found[two] = np.sort(found[two]) if labels[two[0]] <= labels[two[1]] else np.sort(found[two])[::-1]
        return found

    def wanted(self, labels: FloatArray64, probability: float) -> bool:
        """Whether any pair is in doubt."""
        return any(True for _ in self._doubtful(labels, probability))

    def _doubtful(self, labels: FloatArray64, probability: float) -> Iterator[tuple[Pair, tuple[int, int]]]:
        for pair in self.pairs:
            first, second = (self.labels.index(name) for name in pair.labels)
            if in_doubt(labels, first, second, probability):
                yield pair, (first, second)


def in_doubt(labels: FloatArray64, first: int, second: int, probability: float) -> bool:
    """Whether it is worth a closer look which of two labels it is."""
    return bool(min(labels[first], labels[second]) * probability >= _DOUBT)


def log_odds(labels: FloatArray64, first: int, second: int) -> float:
    """The log-odds of one label against another; of probabilities that are next to nothing, as far as can be told."""
    one, other = np.log(np.maximum(labels[[first, second]], 1e-12))
    return float(one - other)


def divide(labels: FloatArray64, first: int, second: int, odds: float) -> FloatArray64:
    """The sum of two probabilities, divided by the log-odds of the first against the second; a new array."""
    share = 1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30)))
    found = labels.copy()
    whole = labels[first] + labels[second]
    found[first], found[second] = whole * share, whole * (1.0 - share)
    return found
