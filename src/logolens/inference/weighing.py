"""What was seen of a photo and what was read in it, weighed together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from logolens.bundle.format import WORDS, Bundle, Closer
from logolens.bundle.words_file import load_words
from logolens.config import ReaderSettings
from logolens.io.views import Picture
from logolens.models.calibration import Calibration
from logolens.models.ensemble import Evidence
from logolens.models.words import Reader, WordExpert, WordProof, model_hashes, reader, reads
from logolens.types import FloatArray64

__all__ = ["PhotoReader", "Weighed", "reader_of", "unread", "weigh"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weighed:
    """What all evidence of one photo comes to.

    Attributes:
        labels: probabilities of the labels, given that one shows; of shape (1, labels).
        score: what speaks for a logo being there; of shape (1,).
        shows: the same in each label's case, of shape (labels,).
        calibration: what turns scores into probabilities.
        proofs: words that speak for labels, the loudest first.
        read: whether the answer rests on words alone: what was seen would have said something else.
    """

    labels: FloatArray64
    score: FloatArray64
    shows: FloatArray64
    calibration: Calibration
    proofs: tuple[WordProof, ...] = ()
    read: bool = False


class PhotoReader:
    """A bundle's words, and what reads photos for them.

    Args:
        expert: the words.
        settings: how photos are read.
    """

    def __init__(self, expert: WordExpert, settings: ReaderSettings) -> None:
        self.expert = expert
        self._settings = settings

    @cached_property
    def _reader(self) -> Reader:
        return reader(self._settings)

    def evidence(self, picture: Picture) -> tuple[FloatArray64, tuple[WordProof, ...]]:
        """What speaks for each label in what is written in a photo, of shape (1, labels, 2), and the words that do.

        Raises:
            ImageError: the photo cannot be decoded.
        """
        return self.expert.evidence(self._reader.read(picture.image(self._settings.side)))


def reader_of(bundle: Bundle) -> PhotoReader | None:
    """What reads photos for a bundle; None where it reads none, or nothing is installed that reads as its training did.

    Raises:
        BundleError: its words cannot be understood.
    """
    words = bundle.closer.words if bundle.closer is not None else None
    if words is None:
        return None
    if why := unread(bundle):
        _LOG.warning("%s", why)
        return None
    return PhotoReader(*load_words(words, bundle.labels, bundle.path / WORDS))


def unread(bundle: Bundle) -> str | None:
    """Why a bundle that reads words cannot do so here, as a sentence; None where it can, or reads none anyway."""
    words = bundle.closer.words if bundle.closer is not None else None
    if words is None:
        return None
    rest = "it answers by what it sees alone, at the threshold that was set for that."
    if not reads():
        return f"{bundle.path} reads words too, which needs: pip install 'logolens[words]'. Without that, {rest}"
    if model_hashes() != words.models:
        return (
            f"{bundle.path} was trained with other models to read words than rapidocr has here, so {rest} Install the version "
            "that it was trained with, or train it again."
        )
    return None


def weigh(closer: Closer, words: PhotoReader | None, evidence: Evidence, picture: Picture) -> Weighed:
    """The answer to one photo by all evidence; it is read where what was seen leaves doubt and a logo is likely enough.

    Args:
        closer: how the bundle weighs.
        words: what reads; None where nothing does.
        evidence: what was seen, one row.
        picture: the photo.

    Raises:
        ImageError: the photo is to be read and cannot be decoded.
    """
    seen, shows, score = closer.weights.logits(evidence), closer.weights.shows(evidence), closer.weights.score(evidence)
    if words is None:
        return Weighed(closer.calibration.given(seen), score, shows[0], closer.calibration)
    weights = words.expert.weights
    likely = float(closer.calibration.probability(score)[0])
    from_words = np.zeros((*seen.shape, 2))
    proofs: tuple[WordProof, ...] = ()
    if words.expert.wanted(bool(closer.weights.clear(evidence)[0]), likely):
        from_words, proofs = words.evidence(picture)
    labels, both = weights.answer(seen, shows, from_words)
    best, now = int(labels[0].argmax()), float(weights.calibration.probability(both)[0])
    # "Read, not seen": without the words there would have been another label, or none.
    read = bool(from_words[0, best].any() and now > 0.5 and (int(seen[0].argmax()) != best or likely <= 0.5))
    return Weighed(labels, both, weights.shows(shows, from_words)[0], weights.calibration, proofs, read)
