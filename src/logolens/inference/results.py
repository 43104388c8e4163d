"""What a bundle says of an image: for people and JSON, in numbers, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.inference.word_sentences import word_json
from logolens.io.names import text_of
from logolens.io.views import View
from logolens.models.cascade import Observation
from logolens.models.experts.words import Read
from logolens.models.matcher import Match
from logolens.models.pairwise import PairDecision
from logolens.models.words import WordProof
from logolens.types import Box

__all__ = ["Answer", "Box", "Explanation", "Kept", "Logo", "Prediction"]


@dataclass(frozen=True)
class Logo:
    """One logo of a photo.

    Attributes:
        label: which.
        confidence: how likely the label is there at all, from 0 to 1; the same of all its places.
        box: (x1, y1, x2, y2) in fractions of the photo's width and height.
        place: how likely it is at this place, given that it is there, from 0 to 1; multiply the two to rank places.
    """

    label: str
    confidence: float
    box: Box
    place: float = 1.0


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer for one image.

    Attributes:
        image: the image's name, as it was given.
        label: ``none`` where the bundle knows the background and a logo is less likely than not; else the label with the
            highest score, ``none`` aside; None when the image could not be read.
        confidence: the answer's score, from 0 to 1.
        scores: the probability of each label, highest first; they sum to one.
        error: why the image could not be read, as a sentence; None when it could.
        box: where the label is, (x1, y1, x2, y2) in fractions of the image's width and height; None of ``none``, or where it
            was not asked for.
        logos: every place of every label that is above its threshold, where all were asked for; the surest label first, and
            of each the surest place first.
        words: words that were read and speak for labels, the loudest of each label first.
        read: whether the answer rests on words alone: read, not seen.
        shown: what a notebook shows the image from; None where it would have to be fetched.
    """

    image: str
    label: str | None
    confidence: float | None
    scores: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    box: Box | None = None
    logos: tuple[Logo, ...] | None = None
    words: tuple[WordProof, ...] = ()
    read: bool = False
    shown: Any = field(default=None, compare=False)

    def __repr__(self) -> str:
        if self.error is not None or self.confidence is None:
            return f"Prediction({self.image!r}: {self.error})"
        where = "" if self.box is None else f" at ({', '.join(f'{edge:.2f}' for edge in self.box)})"
        return f"Prediction({self.image!r}: {self.label} {self.confidence:.1%}{where})"

    def _repr_html_(self) -> str:
        from logolens.inference.notebook import as_html

        return as_html(repr(self), self.to_json(), self.shown if self.error is None else None)

    def at(self, threshold: float) -> Prediction:
        """The answer by another rule: the label with the highest score where that reaches ``threshold``, else ``none``.

        Of ``none`` that the bundle has no score for, the confidence is what the best label leaves.
        """
        if self.error is not None:
            return self
        label, score = max(
            ((name, score) for name, score in self.scores.items() if name != BACKGROUND), key=lambda item: item[1]
        )
        if score < threshold:
            return replace(
                self, label=BACKGROUND, confidence=self.scores.get(BACKGROUND, 1.0 - score), box=None, read=False
            )
        # The place that was found, if any, is that of the bundle's own answer.
        same = label == self.label
        return replace(self, label=label, confidence=score, box=self.box if same else None, read=self.read and same)

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """The object that ``logolens predict --json`` prints, with the ``top`` best scores (all by default)."""
        found: dict[str, Any] = {
            "image": text_of(self.image),
            "label": self.label,
            "confidence": self.confidence,
            "scores": dict(list(self.scores.items())[:top]),
            "box": None if self.box is None else [round(edge, 4) for edge in self.box],
            "error": None if self.error is None else text_of(self.error),
        }
        if self.words:
            found["words"] = [word_json(proof) for proof in self.words]
            found["read"] = self.read
        if self.logos is not None:
            found["logos"] = [
                {
                    "label": logo.label,
                    "confidence": logo.confidence,
                    "box": [round(edge, 4) for edge in logo.box],
                    "place": round(logo.place, 4),
                }
                for logo in self.logos
            ]
        return found


@dataclass(frozen=True)
class Answer:
    """What a bundle says of one image, in numbers.

    Attributes:
        labels: probabilities of the labels, given that one of them shows; float64 of shape (labels,).
        score: what speaks for a logo being there; the bundle's threshold is in its unit. None without a background.
        probabilities: of all outputs, the background's last where there is one; float64 of shape (outputs,).
        box: as of `Prediction`.
        logos: as of `Prediction`.
        proofs: what late experts found that a person can check, by their names.
    """

    labels: npt.NDArray[np.float64]
    score: float | None
    probabilities: npt.NDArray[np.float64]
    box: Box | None = None
    logos: tuple[Logo, ...] | None = None
    proofs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> tuple[WordProof, ...]:
        """As of `Prediction`."""
        found: Read | None = self.proofs.get("words")
        return found.words if found is not None else ()

    @property
    def read(self) -> bool:
        """As of `Prediction`."""
        found: Read | None = self.proofs.get("words")
        return found is not None and found.alone

    @property
    def pair_decisions(self) -> tuple[PairDecision, ...]:
        """What experts for pairs decided."""
        return tuple(self.proofs.get("pairs", ()))


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on.

    Attributes:
        label: the answer, or the likeliest label where the answer is ``none``.
        heat: how much speaks for the label in each cell of the photo, in logits; float64 of shape (rows, columns).
        views: where was looked.
        match: the reference that geometry found, with the points that prove it; None where there is none.
        size: width and height of the image that the match's pixels are of.
        pair_decision: how the label was told from the other of its pair; None where no expert for a pair was asked.
        word: that was read and speaks for the label; None where none does.
        read: whether the answer rests on it alone.
        sentences: what late experts say of the label, in the order in which they were asked.
    """

    label: str
    heat: npt.NDArray[np.float64]
    views: tuple[View, ...]
    match: Match | None
    size: tuple[int, int]
    pair_decision: PairDecision | None = None
    word: WordProof | None = None
    read: bool = False
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """What was seen on the way to an answer, for its explanation.

    Attributes:
        observation: by the network and the matcher.
    """

    observation: Observation
