"""Which words speak for which label, and what speaks for each label in what was read of a photo."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from logolens.config import WordSettings
from logolens.errors import BundleError
from logolens.models.words.label_names import EXACT, fold
from logolens.models.words.reader import Line
from logolens.models.words.spans import Box, Candidate, candidates
from logolens.types import FloatArray64

__all__ = ["Entry", "Lexicon", "Reading", "WordProof"]

_WITHIN = 5
"""Letters that a name must have to be found within a longer word, as it is where the space between two was not read."""

_LEARNED = 0.85
"""Similarity that a learned word needs: it is a common word more often than a name, and common words are like others."""

_LIKE = 0.7
"""Similarity to a label's name from which a word is that name misread."""

_SAME = 0.95
"""Similarity from which a longer name that was read covers a shorter one within it."""


@dataclass(frozen=True)
class Reading:
    """What was read of one training photo.

    Attributes:
        label: what the photo shows; that of the background where it shows none.
        group: of photos that are near copies of one another.
        lines: what was read.
    """

    label: str
    group: int
    lines: tuple[Line, ...]

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """All in the lines that could be a name, found once for all who learn from the photo."""
        return tuple(candidates(self.lines))


@dataclass(frozen=True)
class WordProof:
    """A word that speaks for a label.

    Attributes:
        word: as it was read.
        label: that it speaks for.
        name: the name, or learned word, that it was taken for.
        similarity: of the two, 0 to 1.
        confidence: of the reading, 0 to 1.
        evidence: how much it speaks for the label, in nats.
        box: where it stands, (x1, y1, x2, y2) in fractions of the photo's sides.
        learned: whether it was learned from photos, and is no name of the label.
    """

    word: str
    label: str
    name: str
    similarity: float
    confidence: float
    evidence: float
    box: Box
    learned: bool = False


@dataclass(frozen=True)
class Entry:
    """One word that speaks for a label.

    Attributes:
        word: as people write it.
        label: that it speaks for.
        odds: natural logarithm of how many more photos of this label show it than of all others.
        photos: groups of training photos of the label that showed it.
        others: groups of other photos that did.
        named: whether it is a name of the label, and was not learned.
    """

    word: str
    label: str
    odds: float
    photos: int
    others: int
    named: bool


class Lexicon:
    """The words that speak for labels.

    Args:
        labels: all of them, in the order of the head's outputs.
        entries: the words.
        settings: how they are compared.
    """

    def __init__(
        self, labels: Sequence[str], entries: Sequence[Entry], settings: WordSettings = WordSettings()
    ) -> None:
        self.labels = tuple(labels)
        self.entries = tuple(entries)
        self.settings = settings
        self._position = {label: number for number, label in enumerate(self.labels)}
        self._folded = [fold(entry.word) for entry in self.entries]

    @classmethod
    def learn(
        cls,
        labels: Sequence[str],
        names: Mapping[str, Sequence[str]],
        readings: Sequence[Reading] = (),
        settings: WordSettings = WordSettings(),
    ) -> Self:
        """The names of the labels, and words that training photos of one label show and others do not.

        Args:
            labels: all labels.
            names: what each is called.
            readings: what was read of training photos; none where there are none.
            settings: what a word must be to count.
        """
        shown: dict[str, dict[str, set[int]]] = {}
        written: dict[str, str] = {}
        for reading in readings:
            for candidate in reading.candidates:
                shown.setdefault(candidate.folded, {}).setdefault(reading.label, set()).add(reading.group)
                if candidate.alone:
                    written.setdefault(candidate.folded, candidate.text)
        called: dict[str, dict[str, str]] = {}
        for label in labels:
            for name in names.get(label, ()):
                called.setdefault(fold(name), {}).setdefault(label, name)
        entries: list[Entry] = []
        for label in labels:
            own = {folded: its[label] for folded, its in called.items() if label in its}
            for folded, name in own.items():
                entries.append(_entry(name, label, shown.get(folded, {}), called[folded], settings))
            learned = [
                _entry(text, label, shown[folded], called.get(folded, {}), settings)
                for folded, text in written.items()
                if not any(_like(folded, name) for name in own)  # As misread names they count anyhow.
                and len(shown[folded].get(label, ())) >= settings.groups
                and len(folded) >= settings.letters
                and not any(letter.isdecimal() for letter in folded)
            ]
            learned = sorted(learned, key=lambda entry: (-entry.odds, -entry.photos, entry.word))
            entries += [entry for entry in learned if entry.odds > 0][: settings.learned]
        return cls(labels, entries, settings)

    def evidence(self, lines: Sequence[Line]) -> tuple[FloatArray64, tuple[WordProof, ...]]:
        """What speaks for each label in what was read, and the best proof of each that is named.

        Returns:
            float64 of shape (labels, 2), in nats: where the best proof of a label is one of its names, and where it is a word
            that was learned. And the proofs, the loudest first.
        """
        scores = np.zeros((len(self.labels), 2))
        best: dict[str, WordProof] = {}
        for proof in self._proofs(lines):
            if proof.label not in best or proof.evidence > best[proof.label].evidence:
                best[proof.label] = proof
        crowd = min(1.0, self.settings.named / len(best)) if best else 1.0
        proofs = [replace(proof, evidence=proof.evidence * crowd) for proof in best.values()]
        for proof in proofs:
            scores[self._position[proof.label], int(proof.learned)] = proof.evidence
        return scores, tuple(sorted(proofs, key=lambda proof: (-proof.evidence, proof.label)))

    def _proofs(self, lines: Sequence[Line]) -> list[WordProof]:
        """Every word that speaks for a label, where no longer name of another covers it."""
        if not lines or not self.entries:
            return []
        found = candidates(lines)
        if not found:
            return []
        table = self._similarities(found)
        rows, columns = np.nonzero(table > 0)
        covered = [
            (found[row].words, self.entries[column].label, table[row, column])
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if table[row, column] >= _SAME
        ]
        proofs = []
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            candidate, entry = found[row], self.entries[column]
            similarity = float(table[row, column])
            if any(
                label != entry.label and (candidate.words < words or (candidate.words == words and similarity < its))
                for words, label, its in covered
            ):
                continue
            evidence = entry.odds * self._discount(candidate, similarity)
            if evidence > 0:
                proofs.append(
                    WordProof(
                        candidate.text,
                        entry.label,
                        entry.word,
                        similarity,
                        candidate.confidence,
                        evidence,
                        candidate.box,
                        not entry.named,
                    )
                )
        return proofs

    def _discount(self, candidate: Candidate, similarity: float) -> float:
        """The share that is left of a word's odds where it was read badly, is but like it, is written small or among much."""
        least = self.settings.similarity
        like = (similarity - least) / (1.0 - least) if least < 1.0 else 1.0
        small = min(1.0, candidate.height / self.settings.small) if self.settings.small else 1.0
        among = min(1.0, candidate.share / self.settings.share) if self.settings.share else 1.0
        return max(0.0, like) * candidate.confidence * small * among

    def _similarities(self, found: Sequence[Candidate]) -> FloatArray64:
        """How alike each candidate is to each word, float64 of shape (candidates, words); 0 where that is not enough."""
        process = importlib.import_module("rapidfuzz.process")
        distance = importlib.import_module("rapidfuzz.distance")
        texts = [candidate.folded for candidate in found]
        alone = np.array([candidate.alone for candidate in found])
        least = self.settings.similarity
        table = process.cdist(
            texts, self._folded, scorer=distance.Levenshtein.normalized_similarity, score_cutoff=least, dtype=np.float64
        )
        table = np.asarray(table, dtype=np.float64)
        for column, word in enumerate(self._folded):
            if len(word) <= EXACT or word.isdecimal():
                table[:, column] = np.where((table[:, column] == 1.0) & alone, 1.0, 0.0)
            elif not self.entries[column].named:
                table[:, column] *= table[:, column] >= _LEARNED
            elif len(word) >= _WITHIN:
                for row, text in enumerate(texts):
                    if len(text) > len(word) and alone[row] and (text.startswith(word) or text.endswith(word)):
                        share = least + (1.0 - least) * len(word) / len(text)
                        table[row, column] = max(table[row, column], share)
        return table

    def to_json(self) -> dict[str, Any]:
        """As it is kept in a bundle, for people to read."""
        return {
            "labels": {
                label: [
                    {
                        "word": entry.word,
                        "named": entry.named,
                        "photos": entry.photos,
                        "others": entry.others,
                        "odds": round(entry.odds, 4),
                    }
                    for entry in self.entries
                    if entry.label == label
                ]
                for label in self.labels
            },
        }

    @classmethod
    def from_json(cls, data: Any, labels: Sequence[str], settings: WordSettings = WordSettings()) -> Self:
        """What `to_json` gave.

        Raises:
            BundleError: it is not that.
        """
        try:
            entries = [
                Entry(
                    str(row["word"]),
                    label,
                    float(row["odds"]),
                    int(row["photos"]),
                    int(row["others"]),
                    bool(row["named"]),
                )
                for label, rows in data["labels"].items()
                for row in rows
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"The words cannot be understood ({error}); copy or train the bundle again.") from error
        if unknown := sorted({entry.label for entry in entries} - set(labels)):
            raise BundleError(
                f"The words speak for {unknown[0]}, which is no label of the bundle; copy or train it again."
            )
        if any(not math.isfinite(entry.odds) for entry in entries):
            raise BundleError("The words have odds that are no numbers; copy or train the bundle again.")
        return cls(labels, entries, settings)


def _like(one: str, two: str) -> bool:
    distance = importlib.import_module("rapidfuzz.distance")
    return one == two or bool(distance.Levenshtein.normalized_similarity(one, two) >= _LIKE)


def _entry(
    word: str, label: str, shown: Mapping[str, set[int]], called: Mapping[str, str], settings: WordSettings
) -> Entry:
    """A word and its odds: photos of the label that show it against all others, names counting as photos."""
    photos = len(shown.get(label, ()))
    others = sum(len(groups) for other, groups in shown.items() if other != label)
    for_it = photos + settings.name_counts * (label in called) + settings.smoothing
    against = others + settings.name_counts * sum(other != label for other in called) + settings.smoothing
    if label not in called:
        against += settings.common
    odds = math.log(for_it / against)
    return Entry(
        word, label, odds if label in called else min(odds, settings.learned_odds), photos, others, label in called
    )
