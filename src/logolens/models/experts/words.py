"""The expert that reads: what is written in a photo, and which label it names."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from logolens.config import ReaderSettings
from logolens.io.views import Picture
from logolens.models.calibration import Calibration
from logolens.models.contracts.late import Asked, HeldOut, Inspected, LateFit, Recorded, Verdict
from logolens.models.words import Reader, WordExpert, WordProof, WordWeights, model_hashes, reader, reads
from logolens.models.words.words_file import WORDS, load_words, save_words
from logolens.types import FloatArray64

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Dataset, Split

__all__ = ["PhotoReader", "Read", "WordFacts", "Words"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordFacts:
    """What a bundle's manifest says of words.

    Attributes:
        weights: how they count.
        models: the SHA-256 of the models that read the training photos, by file.
    """

    weights: WordWeights
    models: Mapping[str, str]


@dataclass(frozen=True)
class Read:
    """What a person can check of what was read in a photo.

    Attributes:
        words: that speak for labels, the loudest first.
        alone: whether the answer rests on them: what was seen would have said something else.
    """

    words: tuple[WordProof, ...]
    alone: bool


class PhotoReader:
    """A bundle's words, and what reads photos for them.

    Args:
        expert: the words.
        settings: how photos are read.
    """

    def __init__(self, expert: WordExpert, settings: ReaderSettings = ReaderSettings()) -> None:
        self.expert = expert
        self.settings = settings

    @cached_property
    def _reader(self) -> Reader:
        return reader(self.settings)

    def evidence(self, picture: Picture) -> tuple[FloatArray64, tuple[WordProof, ...]]:
        """What speaks for each label in what is written in a photo, of shape (1, labels, 2), and the words that do.

        Raises:
            ImageError: the photo cannot be decoded.
        """
        return self.expert.evidence(self._reader.read(picture.image(self.settings.side)))


@dataclass(frozen=True)
class Words:
    """Words that are read in a photo in doubt, weighed beside what was seen; what it knows is a `PhotoReader`."""

    name: str = "words"
    title: str = "words"
    cost: float = 40.0
    stage: Literal["late"] = "late"
    place: Literal["closer", "beside"] = "closer"

    def amend(self, knowledge: PhotoReader, verdict: Verdict, photo: Inspected) -> Verdict:
        """See `LateExpert.amend`; a photo is read where a logo is likely enough. The proof is a `Read`."""
        expert, likely = knowledge.expert, float(verdict.probability[0])
        words = np.zeros((*verdict.logits.shape, 2))
        proofs: tuple[WordProof, ...] = ()
        if expert.wanted(bool(verdict.clear[0]), likely):
            words, proofs = knowledge.evidence(photo.picture)
        amended = _amended(expert.weights, verdict, words)
        best, now = int(amended.labels[0].argmax()), float(amended.probability[0])
        # "Read, not seen": without the words there would have been another label, or none.
        other = int(verdict.logits[0].argmax()) != best or likely <= 0.5
        alone = bool(words[0, best].any() and now > 0.5 and other)
        return replace(amended, proofs={**verdict.proofs, self.name: Read(proofs, alone)})

    def amend_all(self, knowledge: PhotoReader, verdict: Verdict, asked: Asked) -> Verdict:
        """See `LateExpert.amend_all`; a region of a photo has the words that stand within it."""
        from logolens.models.words.fit_words import expert_words

        return _amended(knowledge.expert.weights, verdict, expert_words(knowledge.expert, verdict, asked))

    def sentence(self, proof: Read, label: str) -> str | None:
        """None: a word is told with every answer, see `Prediction.words`."""
        return None

    def calibration(self, knowledge: PhotoReader, before: Calibration) -> Calibration:
        """That of both together."""
        return knowledge.expert.weights.calibration

    def asks_about(self, settings: TrainSettings) -> Collection[str]:
        """None: what decides will do."""
        return ()

    def check(self, dataset: Dataset, splits: Split, settings: TrainSettings) -> None:
        """Nothing is refused: names are looked at before the photos are."""

    def fit(self, held: HeldOut) -> LateFit | None:
        """See `LateExpert.fit`; words are tried where they can be read."""
        from logolens.models.words.fit_words import fit_held_words

        found = fit_held_words(held)
        if found is None:
            return None
        expert, notes, words = found
        if expert is None:
            return LateFit(None, None, notes, held.verdict)
        facts = {**expert.weights.to_json(), "models": model_hashes()}
        return LateFit(PhotoReader(expert), facts, notes, _amended(expert.weights, held.verdict, words))

    def untried(self, settings: TrainSettings) -> tuple[str, ...]:
        """Nothing: nobody asks for words alone."""
        return ()

    def nothing(self) -> Any:
        """None."""
        return None

    def save(self, knowledge: PhotoReader, folder: Path) -> None:
        """See `LateExpert.save`."""
        save_words(knowledge.expert, folder / WORDS)

    def read(self, manifest: Mapping[str, Any]) -> WordFacts | None:
        """See `LateExpert.read`."""
        facts = manifest["closer"].get(self.name)
        if facts is None:
            return None
        return WordFacts(WordWeights.from_json(facts), {str(k): str(v) for k, v in facts["models"].items()})

    def files_of(self, facts: WordFacts) -> tuple[str, ...]:
        """See `LateExpert.files_of`."""
        return (WORDS,)

    def load(self, recorded: Recorded, folder: Path, labels: tuple[str, ...]) -> PhotoReader | None:
        """See `LateExpert.load`; None where nothing is installed that reads as the training did."""
        if why := _unread(recorded.facts, folder):
            _LOG.warning("%s", why)
            return None
        return PhotoReader(*load_words(recorded.data[WORDS], recorded.facts.weights, labels, folder / WORDS))

    def parts(self, facts: WordFacts) -> tuple[str, ...]:
        """See `LateExpert.parts`."""
        return ("words",)


def _amended(weights: WordWeights, verdict: Verdict, words: FloatArray64) -> Verdict:
    """The verdict with evidence of words, of shape (n, labels, 2)."""
    labels, score = weights.answer(verdict.logits, verdict.shows, words)
    return replace(
        verdict,
        logits=weights.logits(verdict.logits, words),
        shows=weights.shows(verdict.shows, words),
        labels=labels,
        score=score,
        calibration=weights.calibration,
    )


def _unread(facts: WordFacts, folder: Path) -> str | None:
    """Why a bundle that reads words cannot do so here, as a sentence; None where it can."""
    rest = "it answers by what it sees alone, at the threshold that was set for that."
    if not reads():
        return f"{folder} reads words too, which needs: pip install 'logolens[words]'. Without that, {rest}"
    if model_hashes() != facts.models:
        return (
            f"{folder} was trained with other models to read words than rapidocr has here, so {rest} Install the version "
            "that it was trained with, or train it again."
        )
    return None
