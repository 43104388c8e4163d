"""Held-out photos are answered as unseen ones will be: what each expert is worth is measured, and `none` calibrated.

Each photo is answered by a head that has not learned from it, beside references that are not cut from it. What comes out
decides the weights of the experts (see ``models.ensemble``), the temperature and the threshold of ``none``, so that all three
hold for unseen photos.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import TrainSettings
from logolens.models.calibration import Calibration, calibrate, rejection
from logolens.models.ensemble import NETWORK, EnsembleWeights, Evidence
from logolens.training.cross_fit import LEAST_PHOTOS, CrossFit
from logolens.training.fit_ensemble import choose_weights, fit_floors, fit_presence, keep_stops
from logolens.training.held_out_evidence import evidence_held_out, held_out_to_decide
from logolens.training.left_out import LeftOut, ViewFeatures, left_out_photos
from logolens.training.samples import Sample
from logolens.training.task import Context, Knowledge
from logolens.training.word_readings import WordReadings, read_words
from logolens.training.words import (
    TrainedWords,
    UnknownEvidence,
    VisualEvidence,
    fit_words,
    held_words,
)
from logolens.types import FloatArray64

__all__ = ["OutOfFold", "fit_out_of_fold"]


_LOST = 0.005
"""The share of photos with a logo whose right answer may be lost by asking nothing more where a photo surely shows none."""


@dataclass(frozen=True)
class OutOfFold:
    """What the held-out photos decided.

    Attributes:
        weights: how evidence is added.
        calibration: how it becomes probabilities, and what is ``none``.
        rows: positions of the samples that were held out.
        labels: their probabilities of the labels, given that a logo shows.
        scores: what speaks for a logo being there; None without a background.
        knowledge: what the experts that count learned from all photos that may be learned from, and what was odd about it.
        also: positions of further samples that were asked for, which decided nothing.
        also_labels: their probabilities of the labels.
        also_scores: what speaks for a logo being there in them.
        fold_of: the fold of each photo that was held out.
        seen: the calibration without words.
        words: what words count; None where they were not tried.
        unknown: of photos of labels that were left out, how many there are, the share that would get a label, and the share of
            photos with a logo that keep theirs, words aside; None where none was left out.
    """

    weights: EnsembleWeights
    calibration: Calibration
    rows: tuple[int, ...]
    labels: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64] | None
    knowledge: Knowledge
    also: tuple[int, ...]
    also_labels: npt.NDArray[np.float64]
    also_scores: npt.NDArray[np.float64] | None
    fold_of: dict[int, int]
    seen: Calibration
    words: TrainedWords | None = None
    unknown: dict[str, float] | None = None

    def facts(self, *, localised: bool) -> dict[str, Any]:
        """What the manifest records and `bundle.Closer` reads back."""
        return {
            "weights": self.weights.to_json(),
            # That of the words stands beside it: a machine that cannot read answers by this one.
            "calibration": asdict(self.seen),
            "words": self.words.facts() if self.words is not None else None,
            "unknown": self.unknown,
            "held_out": len(self.rows),
            "experts": list(self.knowledge.of),
            "localiser": localised,
        }


def fit_out_of_fold(
    context: Context,
    samples: Sequence[Sample],
    crossfit: CrossFit,
    knowledge: Knowledge,
    also: Collection[str] = (),
    learnable: Collection[int] = (),
) -> OutOfFold | None:
    """Ask all experts about held-out photos, and decide from what they say.

    Args:
        context: the photos, the network and the settings.
        samples: the views that training knows.
        crossfit: who is asked by whom.
        knowledge: what the experts learned from all of them; each photo is asked without what its fold taught.
        also: labels of which all whole photos are asked about, those too that are not needed to decide.
        learnable: positions of the photos whose words may be learned.

    Returns:
        None where too few photos can be held out.
    """
    dataset, settings = context.dataset, context.settings
    rows, own = held_out_to_decide(context, samples, crossfit)
    truth = np.array([context.classes.index(samples[row].label) for row in rows], dtype=np.int64)
    shows = truth < len(dataset.labels)
    if shows.sum() < LEAST_PHOTOS or (context.background and (~shows).sum() < LEAST_PHOTOS):
        return None
    taken = set(rows)
    more = [
        row
        for row, sample in enumerate(samples)
        if sample.whole and sample.label in also and sample.photo in crossfit.fold_of and row not in taken
    ]
    views: list[ViewFeatures] = []
    every = evidence_held_out(context, samples, [*rows, *more], crossfit, knowledge, views)
    full = every.rows(slice(0, len(rows)))
    weights = choose_weights(full.rows(shows), truth[shows])
    if settings.views == "tiles":
        weights = replace(weights, stop_margins={})  # All of every photo is looked at.
    unknown: tuple[LeftOut, ...] = ()
    if context.background:
        names = [samples[row].label for row in rows]
        unknown = left_out_photos(crossfit.groups, dataset.labels, names, full, views)
        weights = _fit_presence(weights, full, shows, own, unknown)
        if settings.views != "tiles":
            weights = _early(context, weights, full, truth, unknown)
    evidence = weights.with_early_stops(full)
    logits = weights.logits(evidence)
    calibration = calibrate(logits[shows], truth[shows], background=False, max_false_alarms=1.0)
    scores, unknown_rates = None, None
    if context.background:
        scores = weights.score(evidence)
        strange = _scores(weights, unknown)
        threshold, slope = rejection(scores, shows, settings.max_false_alarms, strange)
        calibration = replace(calibration, threshold=threshold, slope=slope)
        if len(strange):
            unknown_rates = {
                "photos": len(strange),
                "labelled": float((strange > threshold).mean()),
                "kept": float((scores[shows] > threshold).mean()),
            }
    used = {
        name: known
        for name, known in knowledge.of.items()
        if weights.labels.get(name) or (context.background and weights.presence.get(name))
    }
    rest = weights.with_early_stops(every.rows(slice(len(rows), None)))
    decided = OutOfFold(
        weights,
        calibration,
        tuple(rows),
        calibration.given(logits),
        scores,
        Knowledge(used, knowledge.notes),
        tuple(more),
        calibration.given(weights.logits(rest)) if more else np.zeros((0, len(dataset.labels))),
        weights.score(rest) if context.background and more else None,
        crossfit.fold_of,
        calibration,
        unknown=unknown_rates,
    )
    photos = [samples[row].photo for row in (*rows, *more)]
    readings = read_words(dataset, learnable, photos, settings, context.on_progress)
    if readings is None:
        return decided
    seen = [
        VisualEvidence(weights.logits(part), weights.shows(part), weights.clear(part), calibration)
        for part in (evidence, rest)
    ]
    seen[0] = replace(seen[0], unknown=tuple(_unknown_evidence(weights, one) for one in unknown))
    asked = [samples[row] for row in (*rows, *more)]
    return with_words(decided, readings, asked, truth, seen, learnable, settings, context.background)


def with_words(
    decided: OutOfFold,
    readings: tuple[WordReadings, tuple[str, ...]],
    asked: Sequence[Sample],
    truth: npt.NDArray[np.int64],
    seen: Sequence[VisualEvidence],
    learnable: Collection[int],
    settings: TrainSettings,
    background: bool,
) -> OutOfFold:
    """What was decided, with what words add to it where they do.

    Args:
        decided: without words.
        readings: what the photos say, and what is odd about names.
        asked: what was asked about: what decides, then the rest.
        truth: positions of the classes of what decides.
        seen: what was seen of what decides, and of the rest.
        learnable: positions of the photos whose words may be learned.
        settings: of the training.
        background: whether there is one.
    """
    its, notes = readings
    split = len(truth)
    found, words = fit_words(
        its, asked[:split], truth, seen[0], decided.fold_of, learnable, settings, background=background, notes=notes
    )
    if found.expert is None:
        return replace(decided, words=found)
    weights = found.expert.weights
    rest = held_words(its, asked[split:], seen[1], decided.fold_of, learnable, weights)
    labels, scores = weights.answer(seen[0].logits, seen[0].shows, words)
    also_labels, also_scores = weights.answer(seen[1].logits, seen[1].shows, rest)
    return replace(
        decided,
        calibration=weights.calibration,
        labels=labels,
        scores=scores if background else None,
        also_labels=also_labels,
        also_scores=also_scores if decided.also_scores is not None else None,
        words=found,
    )


def _fit_presence(
    weights: EnsembleWeights,
    evidence: Evidence,
    shows: npt.NDArray[np.bool_],
    own: int,
    unknown: Sequence[LeftOut],
) -> EnsembleWeights:
    others = [name for name in weights.labels if name not in NETWORK and weights.labels[name]]
    strange = [one.evidence for one in unknown]
    if own < LEAST_PHOTOS and strange:
        # The network tells drawn pictures from photos, whatever these show: photos of other labels must teach it.
        return fit_presence(weights, evidence.rows(shows), shows[shows], strange)
    if others and own < LEAST_PHOTOS:
        # The others find the logo in neither.
        return replace(weights, presence=dict.fromkeys(others, 1.0), stop_margins={})
    return fit_presence(weights, evidence if strange else weights.with_early_stops(evidence), shows, strange)


def _scores(weights: EnsembleWeights, unknown: Sequence[LeftOut]) -> FloatArray64:
    """What speaks for a logo being there in photos of left-out labels, in the photos' order."""
    if not unknown:
        return np.zeros(0)
    scores = np.concatenate([weights.score(weights.with_early_stops(one.evidence)) for one in unknown])
    return np.asarray(scores[np.argsort(np.concatenate([one.rows for one in unknown]), kind="stable")])


def _unknown_evidence(weights: EnsembleWeights, left_out: LeftOut) -> UnknownEvidence:
    """What was seen of photos of left-out labels, for words to be weighed beside it."""
    asked = weights.with_early_stops(left_out.evidence)
    return UnknownEvidence(
        left_out.rows, left_out.columns, weights.logits(asked), weights.shows(asked), weights.clear(left_out.evidence)
    )


def _early(
    context: Context,
    weights: EnsembleWeights,
    full: Evidence,
    truth: npt.NDArray[np.int64],
    unknown: Sequence[LeftOut],
) -> EnsembleWeights:
    """The weights with what ends a photo's way early: answers that stand, and floors below which it surely shows none.

    What a floor may lose is right labels, whether or not they pass the threshold: that is the user's to move.
    """
    shows = truth < len(context.dataset.labels)
    right = shows & (weights.logits(full).argmax(axis=1) == truth)
    if unknown:

        def kept(tried: EnsembleWeights) -> npt.NDArray[np.bool_]:
            looked = tried.with_early_stops(full)
            scores, best = tried.score(looked), tried.logits(looked).argmax(axis=1)
            threshold, _ = rejection(scores, shows, context.settings.max_false_alarms, _scores(tried, unknown))
            return np.asarray(((best == truth) & (scores > threshold))[shows])

        weights = replace(weights, stop_margins=keep_stops(weights, kept))
    if not context.settings.early_none:
        return weights
    return replace(weights, none_floors=fit_floors(weights, full, right, shows, _LOST))
