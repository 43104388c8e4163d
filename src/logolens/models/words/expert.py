"""How much words count beside what was seen, and when a photo is read at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from logolens.models.calibration import Calibration
from logolens.models.words.lexicon import Lexicon, WordProof
from logolens.models.words.reader import Line
from logolens.types import FloatArray64

__all__ = ["WordExpert", "WordWeights", "within"]


@dataclass(frozen=True)
class WordWeights:
    """How evidence of words is added to that of what was seen.

    Attributes:
        weight: of the words in telling labels apart, beside the logits of what was seen.
        shows_seen: weight of what was seen in telling whether there is a logo.
        shows_words: weight of the labels' names in that.
        shows_learned: weight of words that were learned in that: other brands write many of them, too.
        floor: the probability of a logo, by what was seen alone, from which a photo is read; 0 reads all that are in doubt.
        calibration: of both together.
        reason: why, as a sentence with the figures.
    """

    weight: float
    shows_seen: float
    shows_words: float
    shows_learned: float
    floor: float
    calibration: Calibration
    reason: str = ""

    def logits(self, visual: FloatArray64, words: FloatArray64) -> FloatArray64:
        """What speaks for each label, of shape (n, labels), as ``visual``; ``words`` as `WordExpert.evidence` gives them."""
        return np.asarray(visual + self.weight * words.sum(axis=2))

    def shows(self, visual: FloatArray64, words: FloatArray64) -> FloatArray64:
        """What speaks for a logo being there, in each label's case, of shape (n, labels), as what was seen of that."""
        return np.asarray(self.shows_seen * visual + words @ np.array([self.shows_words, self.shows_learned]))

    def score(self, visual: FloatArray64, shows: FloatArray64, words: FloatArray64) -> FloatArray64:
        """What speaks for a logo being there at all, in the case of the best label; of shape (n,).

        Args:
            visual: logits of what was seen, of shape (n, labels).
            shows: what was seen that speaks for a logo, in each label's case.
            words: evidence of the words, of shape (n, labels, 2).
        """
        best = self.logits(visual, words).argmax(axis=1)
        return np.asarray(self.shows(shows, words)[np.arange(len(visual)), best])

    def answer(
        self, visual: FloatArray64, shows: FloatArray64, words: FloatArray64
    ) -> tuple[FloatArray64, FloatArray64]:
        """Probabilities of the labels, given that one shows, and scores of whether one does; arguments as of `score`."""
        return self.calibration.given(self.logits(visual, words)), self.score(visual, shows, words)

    def to_json(self) -> dict[str, Any]:
        """As a manifest keeps them."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is not that.
        """
        # Bundles once weighed both kinds of words alike.
        data = {"shows_learned": data["shows_words"], **data}
        names = ("weight", "shows_seen", "shows_words", "shows_learned", "floor")
        numbers = {name: float(data[name]) for name in names}
        if any(not np.isfinite(number) or number < 0 for number in numbers.values()):
            raise ValueError("words have a weight that is no number from 0 on")
        return cls(**numbers, calibration=Calibration(**data["calibration"]), reason=str(data.get("reason", "")))


@dataclass(frozen=True)
class WordExpert:
    """The words of a bundle, ready to be asked.

    Attributes:
        lexicon: which words speak for which label.
        weights: how much they count.
    """

    lexicon: Lexicon
    weights: WordWeights

    def wanted(self, clear: bool, probability: float) -> bool:
        """Whether a photo is to be read, given whether its answer stands and how likely a logo is by what was seen."""
        return not clear and probability >= self.weights.floor

    def evidence(self, lines: Sequence[Line]) -> tuple[FloatArray64, tuple[WordProof, ...]]:
        """What speaks for each label in what was read, one row of `Lexicon.evidence`, and the words that do."""
        scores, proofs = self.lexicon.evidence(lines)
        return scores[None], proofs


def within(lines: Sequence[Line], box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[Line, ...]:
    """The lines that stand within a region of a photo, as if it were a photo of its own.

    Args:
        lines: what was read of the photo.
        box: the region, in fractions of its sides.
        size: the photo's width and height in pixels.
    """
    left, top, right, bottom = box
    wide, high = max(right - left, 1e-9), max(bottom - top, 1e-9)
    grow = min(size) / max(min(wide * size[0], high * size[1]), 1e-9)
    found = []
    for line in lines:
        x1, y1, x2, y2 = line.box
        if left <= (x1 + x2) / 2 <= right and top <= (y1 + y2) / 2 <= bottom:
            place = [(x1 - left) / wide, (y1 - top) / high, (x2 - left) / wide, (y2 - top) / high]
            a, b, c, d = (min(max(edge, 0.0), 1.0) for edge in place)
            found.append(Line(line.text, line.confidence, (a, b, c, d), line.height * grow))
    return tuple(found)
