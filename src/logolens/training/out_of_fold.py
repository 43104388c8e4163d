"""Held-out photos are answered as unseen ones will be: what each expert is worth is measured, and `none` calibrated.

Each photo is answered by a head that has not learned from it, beside references that are not cut from it. What comes out
decides the weights of the experts (see ``models.ensemble``), the temperature and the threshold of ``none``, so that all three
hold for unseen photos.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.data.builtin_backgrounds import is_builtin
from logolens.models.calibration import Calibration, calibrate, rejection
from logolens.models.contracts.late import HeldOut, UnknownEvidence, together
from logolens.models.ensemble import NETWORK, EnsembleWeights, Evidence
from logolens.models.experts import LateExpert, LateFit, late_experts
from logolens.training.cross_fit import LEAST_PHOTOS, CrossFit
from logolens.training.fit_ensemble import choose_weights, fit_floors, fit_presence, keep_stops
from logolens.training.held_out_evidence import evidence_held_out, held_out_to_decide
from logolens.training.left_out import LeftOut, ViewFeatures, left_out_photos
from logolens.training.samples import Sample
from logolens.training.task import Context, Knowledge
from logolens.types import FloatArray64

__all__ = ["OutOfFold", "fit_out_of_fold", "late_facts"]


_LOST = 0.005
"""The share of photos with a logo whose right answer may be lost by asking nothing more where a photo surely shows none."""


@dataclass(frozen=True)
class OutOfFold:
    """What the held-out photos decided.

    Attributes:
        weights: how evidence is added.
        ensemble_calibration: how it becomes probabilities, and what is ``none``, before a late expert is asked.
        rows: positions of the samples that were held out.
        held: these, and further ones that were asked for and decided nothing, with what is held of each by now.
        knowledge: what the experts that count learned from all photos that may be learned from, and what was odd about it.
        late: what came of the late experts that were tried, by their names.
        unknown: of photos of labels that were left out, how many there are, the share that would get a label, and the share of
            photos with a logo that keep theirs, late experts aside; None where none was left out.
    """

    weights: EnsembleWeights
    ensemble_calibration: Calibration
    rows: tuple[int, ...]
    held: HeldOut
    knowledge: Knowledge
    late: Mapping[str, LateFit] = field(default_factory=dict)
    unknown: dict[str, float] | None = None

    @property
    def calibration(self) -> Calibration:
        """How all evidence becomes probabilities, and what is ``none``."""
        return self.held.verdict.calibration

    @property
    def labels(self) -> FloatArray64:
        """Probabilities of the labels in what was held out, given that a logo shows."""
        return self.held.verdict.labels[: len(self.rows)]

    @property
    def scores(self) -> FloatArray64 | None:
        """What speaks for a logo being there in what was held out; None without a background."""
        return self.held.verdict.score[: len(self.rows)] if self.held.background else None

    def with_late(self, expert: LateExpert) -> OutOfFold:
        """The same with a late expert that was fitted on it; the same where that is not to be tried."""
        fit = expert.fit(self.held)
        if fit is None:
            return self
        return replace(self, late={**self.late, expert.name: fit}, held=replace(self.held, verdict=fit.verdict))

    def facts(self, *, localised: bool) -> dict[str, Any]:
        """What the manifest records and `bundle.Closer` reads back."""
        return {
            "weights": self.weights.to_json(),
            # Those of late experts stand beside it: a machine that cannot ask them answers by this one.
            "calibration": asdict(self.ensemble_calibration),
            **late_facts(self, "closer"),
            "unknown": self.unknown,
            "held_out": len(self.rows),
            "experts": list(self.knowledge.of),
            "localiser": localised,
        }


def late_facts(held_out: OutOfFold | None, place: str) -> dict[str, Any]:
    """What the manifest records of late experts in one of the places of `LateExpert.place`, by their names."""
    tried = held_out.late if held_out is not None else {}
    return {
        expert.name: tried[expert.name].facts if expert.name in tried else expert.nothing()
        for expert in late_experts()
        if expert.place == place
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
        learnable: positions of the photos that late experts may learn from.

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
    unknown_rates = None
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
    held = HeldOut(
        dataset,
        [samples[row] for row in (*rows, *more)],
        settings,
        context.session,
        context.on_progress,
        deciding=len(rows),
        truth=truth,
        fold_of=crossfit.fold_of,
        learnable=learnable,
        builtin={number for number, photo in enumerate(dataset.photos) if is_builtin(photo)},
        background=context.background,
        verdict=together([weights.verdict(part, calibration) for part in (evidence, rest)]),
        unknown=tuple(_unknown_evidence(weights, one) for one in unknown),
    )
    return OutOfFold(weights, calibration, tuple(rows), held, Knowledge(used, knowledge.notes), unknown=unknown_rates)


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
    """What was seen of photos of left-out labels, for late experts to be weighed beside it."""
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
