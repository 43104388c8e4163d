"""From which score on a gallery gives a label at all, after its labels changed.

Each label has a threshold of its own (see ``head.cosine``). With more labels, the best of them rises above its own more often
by chance, on any background; the threshold that all share rises with that, and falls back when labels go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.models.calibration import Calibration, calibrate, margins
from logolens.models.ensemble import NETWORK, EnsembleWeights
from logolens.models.head import CosineHead
from logolens.training.gallery.ledger import Reference

__all__ = ["by_probability", "held_out", "raised"]

_LEAST = 10
"""References that another of their label stands beside, below which nothing is learned from leaving each of them out."""

_MOST = 400

_GUESSED = Calibration(temperature=1.5, threshold=None, slope=0.5)
"""Of a gallery of too few references: what a few photos a label gave on 27 brands."""

_STRICT = 0.25
"""The share of references, each held against the others, that may fall below the threshold where all backgrounds are made
pictures: photos of anything stand nearer to references than those do, by how much is not known."""

_CLOSER = 5
"""Closer views of a photo, of which the best counts."""


def by_probability(head: CosineHead, max_false_alarms: float) -> float:
    """The margin, in logits, that the best label reaches on so large a share of the gallery's backgrounds."""
    if not len(head.backgrounds):
        return 0.0
    margins = head.sharpness * (head.above(head.backgrounds) - head.thresholds).max(axis=1)
    return float(np.quantile(margins, 1.0 - max_false_alarms))


def raised(
    calibration: Calibration, weights: EnsembleWeights | None, first: Mapping[str, Any], now: float
) -> Calibration:
    """A calibration for a gallery whose labels changed since it was fitted.

    Args:
        calibration: as it was first.
        weights: how evidence is added; None for that of the whole photo alone.
        first: the manifest's facts of then: ``by_probability`` among them.
        now: `by_probability` of the gallery as it is.
    """
    if calibration.threshold is None:
        return calibration
    weight = 1.0 if weights is None else _views(weights)
    more = max(0.0, now - float(first["by_chance"]))
    return replace(calibration, threshold=calibration.threshold + weight * more)


def held_out(
    head: CosineHead, references: Sequence[Reference], weights: EnsembleWeights, max_false_alarms: float, *, drawn: bool
) -> tuple[Calibration, Calibration]:
    """Calibrations for a gallery that no training measured: each reference is held against the others.

    Args:
        head: the gallery.
        references: of its rows.
        weights: how evidence is added where photos are looked at closer.
        max_false_alarms: the share of the backgrounds that may be given a label.
        drawn: whether all backgrounds are built-in pictures.

    Returns:
        That of the whole photo, and that of all evidence. No reference tells what closer views would say of it, so the
        second takes its closer views for no better than the whole, and those of backgrounds for the best of five.
    """
    none = head.sharpness * np.stack(
        [*(head.above(head.backgrounds) - head.thresholds).T, np.zeros(len(head.backgrounds))], axis=1
    )
    shown, truth = _without_itself(head, references)
    best = margins(none)
    rng = np.random.default_rng(0)
    others = best[rng.integers(0, len(best), (len(best), _CLOSER))].max(axis=1)
    alone = weights.presence.get("whole", 0.0)
    multiview = alone * best + (_views(weights) - alone) * np.maximum(best, others)
    if len(shown) < _LEAST:
        whole = replace(_GUESSED, threshold=float(np.quantile(best, 1.0 - max_false_alarms)))
        return whole, replace(whole, threshold=float(np.quantile(multiview, 1.0 - max_false_alarms)))
    whole = calibrate(
        np.concatenate([shown, none]),
        np.concatenate([truth, np.full(len(none), head.labels)]),
        background=True,
        max_false_alarms=max_false_alarms,
    )
    genuine = margins(shown)
    least = float(np.quantile(genuine, _STRICT)) if drawn else -np.inf
    whole = replace(whole, threshold=max(float(whole.threshold or 0.0), least))
    # What closer views add to the best margin of a background is added to the threshold.
    more = max(0.0, float(np.quantile(multiview, 1.0 - max_false_alarms) - np.quantile(best, 1.0 - max_false_alarms)))
    return whole, replace(whole, threshold=float(whole.threshold or 0.0) + more)


def _views(weights: EnsembleWeights) -> float:
    """What the network's views count for in all, in telling whether there is a logo."""
    return sum(weights.presence.get(name, 0.0) for name in NETWORK)


def _without_itself(
    head: CosineHead, references: Sequence[Reference]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Logits of the first row of references that others of their label stand beside, each without its own rows."""
    starts = np.cumsum([0, *(reference.views for reference in references)])
    owners = head.owners[starts[:-1]]
    several = np.flatnonzero(np.bincount(owners, minlength=head.labels)[owners] > 1)
    if len(several) > _MOST:
        several = np.sort(np.random.default_rng(0).permutation(several)[:_MOST])
    rows = head.references[starts[several]]
    above = head.above(rows).astype(np.float64)
    for place, number in enumerate(several.tolist()):
        label = int(owners[number])
        own = np.flatnonzero(head.owners == label)
        kept = head.references[own[(own < starts[number]) | (own >= starts[number + 1])]]
        above[place, label] = head.beside(rows[place], kept)
    labels = head.sharpness * (above - head.thresholds)
    return np.concatenate([labels, np.zeros((len(labels), 1))], axis=1), owners[several].astype(np.int64)
