"""Experts for pairs in training: learned from photos of the two labels, and kept only where held-out photos say that they help.

Photos stand in the folds that the stack was decided on. Each is looked at beside references, in a frame, and by a rule that have
not seen its fold; the three opinions are weighed, again fold by fold, and must beat the stack's own by more than one standard
error.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from logolens.data import Dataset, Split, grouped_folds, photo_groups
from logolens.errors import DataError, UsageError
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.models.contracts.late import HeldOut, HeldView
from logolens.models.pairwise.alignment import Frame, frame_of
from logolens.models.pairwise.apply import divide, in_doubt, log_odds
from logolens.models.pairwise.hog import WIDTH
from logolens.models.pairwise.pair import Laid, Pair, lay, matched
from logolens.models.pairwise.pair_weights import difference, losses, right, weigh
from logolens.models.pairwise.sightings import Sighted, members, only, opened, references
from logolens.types import FloatArray64

__all__ = ["NEEDED", "FittedPairs", "check_pairs", "fit_pairs"]


NEEDED = 8
"""Photos of each of the two that are needed to learn from."""

_MOST = 150
"""Photos of each of the two that are learned from; more would take long and tell little else."""

_FOLDS = 10

_LEAST_KNOWN = 4
"""Photos of each of the two that something must be found in."""

_WRONG = 2
"""Held-out photos that must be told wrong without the expert: of a single mistake nothing can be concluded."""

_GAINED = 1e-4
"""Nats a photo below which nothing was gained, however sure it is."""


@dataclass(frozen=True)
class FittedPairs:
    """What came of the pairs.

    Attributes:
        pairs: the experts that are used.
        facts: of every pair, what the manifest records.
        notes: a sentence for each.
        held: what was given, with the pairs divided anew.
    """

    pairs: tuple[Pair, ...]
    facts: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    held: HeldOut


def check_pairs(dataset: Dataset, splits: Split, pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse pairs that cannot be learned from these photos, before any work is done.

    Raises:
        UsageError: a label is not in the data.
        DataError: it has too few photos.
    """
    for pair in pairs:
        for label in pair:
            if label not in dataset.labels:
                raise UsageError(
                    f"--pair names {label!r}, which is no label of {dataset.name}; its labels are: "
                    f"{', '.join(dataset.labels)}."
                )
            numbers = members(dataset, (*splits.train, *splits.val), label)
            count = len({dataset.photos[number].near for number in numbers})
            if count < NEEDED:
                raise DataError(
                    f"--pair {' '.join(pair)}: {label} has {count} photos to learn from that are no copies of one another, "
                    f"and {NEEDED} of each are needed. Add photos, lower --test, or leave this pair out."
                )


def fit_pairs(held: HeldOut) -> FittedPairs:
    """Learn an expert for each pair that the settings name, and decide whether it is used.

    Args:
        held: what was held out, whole photos of the pairs among it.

    Raises:
        ImageError: a photo cannot be read any more, or has changed.
    """
    pairs, facts, notes = [], [], []
    for labels in held.settings.pair:
        pair, fact, held = _Fitting(held, labels).decide()
        pairs += [pair] if pair is not None else []
        facts.append(fact)
        notes.append(str(fact["reason"]))
    return FittedPairs(tuple(pairs), tuple(facts), tuple(notes), held)


@dataclass(frozen=True)
class _Opinion:
    """What is known of one look.

    Attributes:
        ensemble_odds: the ensemble's log-odds of the first label against the second.
        matched: the references' evidence, those of its own fold aside.
        laid: flat, in the frame of those references.
        other: flat, in the frames that its photo may be learned from: those of the other folds, and that of all (None).
    """

    ensemble_odds: float
    matched: float
    laid: Laid
    other: dict[int | None, Laid]


class _Fitting:
    """One pair's expert in the making."""

    def __init__(self, held: HeldOut, labels: tuple[str, str]) -> None:
        dataset, fold_of = held.dataset, held.fold_of
        self._dataset, self._samples, self._settings = dataset, held.samples, held.settings
        self._held, self._labels = held, labels
        self._likely = held.verdict.probability
        self._first, self._second = (dataset.labels.index(label) for label in labels)
        self._members = {number for label in labels for number in members(dataset, fold_of, label)[:_MOST]}
        self._fold = self._folded()
        self._folds = sorted(set(self._fold.values()))

    def decide(self) -> tuple[Pair | None, dict[str, Any], HeldOut]:
        """The expert, None where it does not surely help; what to record; and what is held, divided by it."""
        own = [place for place, sample in enumerate(self._samples) if self._is_own(sample)]
        asked = [place for place in range(len(self._samples)) if place in set(own) or self._in_doubt(place)]
        samples = [self._samples[place] for place in asked]
        sighted = references(
            self._dataset, self._members, self._labels, samples, self._held.session, self._settings, self._held.progress
        )
        if sighted is None:
            return None, self._fact("no photo of them has points to match, so no expert is used"), self._held
        opinions = dict(zip(asked, self._opinions(asked, sighted), strict=True))
        photos = {place: self._samples[place].photo for place in asked}
        truth = np.array([self._dataset.photos[photos[place]].label == self._labels[0] for place in own])
        fold = np.array([self._fold[photos[place]] for place in own])
        rules = {
            left: difference(
                [
                    (opinions[place].other[left].drawn, bool(shows))
                    for place, shows, its in zip(own, truth, fold, strict=True)
                    if its != left
                ]
            )
            for left in (*self._folds, None)
        }

        def opinion(place: int) -> FloatArray64:
            rule, its = rules[self._left(photos[place])], opinions[place]
            return np.array([its.ensemble_odds, its.matched, rule.score(its.laid.drawn) if rule is not None else 0.0])

        table = np.array([opinion(place) for place in own])
        known = table[:, 1:].any(axis=1)
        if min((known & truth).sum(), (known & ~truth).sum()) < _LEAST_KNOWN:
            return None, self._fact("too few photos of them have points that match, so no expert is used"), self._held
        weights: dict[int | None, FloatArray64] = {
            left: weigh(table[known & (fold != left)], truth[known & (fold != left)]) for left in self._folds
        }
        final = weights[None] = weigh(table[known], truth[known])
        odds = {}
        for place in asked:
            row = opinion(place)
            # Where geometry is silent, the stack's opinion stands.
            if self._in_doubt(place) and row[1:].any():
                odds[place] = float(weights[self._left(photos[place])] @ row)
        ensemble_odds = table[:, 0]
        together = np.array([odds.get(place, alone) for place, alone in zip(own, ensemble_odds, strict=True)])
        # The stack's opinion, made as sure as it should be: what that alone would gain is not the expert's merit.
        alone = ensemble_odds.copy()
        for place in np.flatnonzero(np.isin(own, list(odds))).tolist():
            others = known & (fold != fold[place])
            alone[place] *= float(weigh(table[others, :1], truth[others])[0])
        peer = min((losses(ensemble_odds, truth), losses(alone, truth)), key=lambda its: float(its.mean()))
        gained = peer - losses(together, truth)
        error = float(gained.std(ddof=1) / np.sqrt(len(gained)))
        wrong = int(((ensemble_odds > 0) != truth).sum())
        used = bool(gained.mean() > max(error, _GAINED)) and wrong >= _WRONG
        laid = sum(bool(len(opinions[place].laid.drawn)) for place in own)
        figures = (
            f"on {len(own)} held-out photos the answer is right on {right(ensemble_odds, truth):.0%}, with an expert for the two "
            f"on {right(together, truth):.0%}; {laid} of them could be laid flat"
        )
        fact = self._fact(
            f"{figures}. The expert is used" if used else f"{figures}. That does not surely help, so it is not used",
            used=used,
            photos=len(own),
            laid=laid,
            right=right(ensemble_odds, truth),
            right_with=right(together, truth),
            gained=float(gained.mean()),
            error=error,
            weights=dict(zip(("stack", "matches", "drawing"), final.tolist(), strict=True)),
        )
        if not used:
            return None, fact, self._held
        frame = frame_of(sighted.ties, range(len(sighted.matcher.references)))
        stack, matches, drawing = final.tolist()
        pair = Pair(self._labels, sighted.matcher, frame, rules[None], (stack, matches, drawing))
        divided = self._held.verdict.labels.copy()
        for place, value in odds.items():
            divided[place] = divide(divided[place], self._first, self._second, value)
        return pair, fact, replace(self._held, verdict=replace(self._held.verdict, labels=divided))

    def _fact(self, reason: str, *, used: bool = False, **more: Any) -> dict[str, Any]:
        text = f"{self._labels[0]} and {self._labels[1]}: {reason}."
        return {"labels": list(self._labels), "used": used, **more, "reason": text}

    def _is_own(self, sample: HeldView) -> bool:
        return sample.whole and sample.photo in self._members

    def _in_doubt(self, place: int) -> bool:
        return in_doubt(self._held.verdict.labels[place], self._first, self._second, float(self._likely[place]))

    def _left(self, photo: int) -> int | None:
        """The fold that is left out for a photo; None of a photo that nothing is learned from."""
        return self._fold.get(photo)

    def _folded(self) -> dict[int, int]:
        """Folds of the pair's own photos; more than the stack's, for they are few and each is missed."""
        numbers = sorted(self._members)
        photos = self._dataset.subset(numbers)
        count = min(_FOLDS, len(set(photo_groups(photos))))
        return {
            numbers[int(place)]: fold
            for fold, places in enumerate(grouped_folds(photos, count, self._settings.seed))
            for place in places
        }

    def _opinions(self, asked: Sequence[int], sighted: Sighted) -> list[_Opinion]:
        fold_of = {self._dataset.photos[number].sha256: fold for number, fold in self._fold.items()}
        matcher = sighted.matcher
        among: dict[int | None, set[int]] = {
            left: {number for number, its in enumerate(matcher.references) if fold_of.get(its.photo) != left}
            for left in self._folds
        }
        among[None] = set(range(len(matcher.references)))
        frames = {left: frame_of(sighted.ties, numbers) for left, numbers in among.items()}

        def work(number: int) -> _Opinion:
            place, found, size = asked[number], sighted.matches[number], sighted.sizes[number]
            sample = self._samples[place]
            picture = opened(self._dataset, sample, self._held.session)

            def flat(left: int | None) -> Laid:
                frame: Frame | None = frames[left]
                if frame is None:
                    return Laid(np.zeros((0, WIDTH), np.float32), None)
                return lay(picture, found.found, frame, size, among[left])

            left = self._left(sample.photo)
            return _Opinion(
                log_odds(self._held.verdict.labels[place], self._first, self._second),
                matched(only(found, among[left], matcher)),
                flat(left),
                {other: flat(other) for other in frames if other != left} if self._is_own(sample) else {},
            )

        with ONE_THREAD_EACH, ThreadPoolExecutor(self._settings.threads or processors()) as pool:
            return list(pool.map(work, range(len(asked))))
