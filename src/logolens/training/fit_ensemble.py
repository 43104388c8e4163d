"""Whole photo, closer views and matcher together: how much each counts is decided on held-out photos.

A network sees kinds of things, geometry sees this very drawing, and a closer view sees small logos but also more chances
to err. Which of them serves differs between data sets, so none is trusted by rule: their out-of-fold evidence is added in
several proportions (stacked generalisation: Wolpert, Neural Networks 5, 1992), and what costs time is taken only where it
surely helps. Which label it is and whether there is a logo at all are two questions, each with weights of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from logolens.models.calibration import calibrate, softmax
from logolens.models.ensemble import EnsembleWeights, Evidence, lead
from logolens.types import FloatArray64

__all__ = ["choose_weights", "fit_presence", "nonnegative_logistic"]


_TILES = (0.0, 0.5, 1.0)
"""Weights of the closer views beside the whole photo's 1."""


_CLOSEST = ((0.33, 0.33), (0.5, 0.25), (0.4, 0.4), (0.25, 0.25), (0.33, 0.0))
"""Weights of the whole photo and of closer views where views within these make up the rest."""


_BOTH = ((1.0, 1.0), (0.5, 0.5), (0.0, 1.0), (0.0, 0.5))
"""Weights of closer views and of views within these beside the whole photo's 1."""


_MATCHER = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of the matcher's evidence beside a head at its own temperature."""


_LEADS = (2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Leads over the next label, tried as those at which the whole photo's answer stands."""


_GAINED = 1e-4
"""Nats a photo below which nothing was gained, however sure it is: views that say the same differ by rounding."""


_LOST = 0.004
"""The share of photos that answering early, by the whole photo alone, may cost. Not asking the matcher must cost none."""


def choose_weights(evidence: Evidence, truth: npt.NDArray[np.int64], *, matched: bool) -> EnsembleWeights:
    """Decide what counts and how much, on photos that neither expert has learned from.

    Proportions are compared by their cross-entropy at the best temperature each. Closer views, then views within these, then
    the matcher, then all of it, are taken only where they beat what costs less by more than one standard error of the paired
    differences. An answer may stand early where that costs at most four photos in a thousand.

    Args:
        evidence: of photos that show a logo, n of them.
        truth: positions of their labels, int64 of shape (n,).
        matched: whether the matcher was asked.
    """
    rows = np.arange(len(truth))

    def judged(stack: EnsembleWeights) -> tuple[FloatArray64, npt.NDArray[np.bool_]]:
        logits = stack.logits(evidence)
        fitted = calibrate(logits, truth, background=False, max_false_alarms=1.0)
        losses = -np.log(np.maximum(softmax(logits / fitted.temperature)[rows, truth], 1e-12))
        return losses, logits.argmax(axis=1) == truth

    scale = 1.0 / calibrate(evidence.whole, truth, background=False, max_false_alarms=1.0).temperature
    rungs = [
        [EnsembleWeights()],
        [EnsembleWeights(whole=share, tiles=1.0 - share) for share in (0.67, 0.5, 0.33, 0.0)],
        [EnsembleWeights(whole=whole, tiles=tiles, closest=1.0 - whole - tiles) for whole, tiles in _CLOSEST],
    ]
    if matched:
        rungs.append(
            [
                *(
                    EnsembleWeights(whole=scale, tiles=scale * tiles, matcher=weight)
                    for tiles in _TILES
                    for weight in _MATCHER
                ),
                EnsembleWeights(whole=0.0, matcher=1.0),
            ]
        )
        rungs.append(
            [
                EnsembleWeights(whole=scale, tiles=scale * tiles, closest=scale * closest, matcher=weight)
                for tiles, closest in _BOTH
                for weight in _MATCHER
            ]
        )
    chosen, losses, right = EnsembleWeights(), *judged(EnsembleWeights())
    for rung in rungs[1:]:
        tried = [(stack, *judged(stack)) for stack in rung]
        best, its, hits = min(tried, key=lambda entry: float(entry[1].mean()))
        gained = losses - its
        error = float(gained.std(ddof=1) / np.sqrt(len(gained))) if len(gained) > 1 else float("inf")
        if gained.mean() > max(error, _GAINED):
            chosen, losses, right = best, its, hits
    figures = (
        f"on {len(truth)} held-out photos the whole photo's answer is right on {judged(EnsembleWeights())[1].mean():.0%}, "
        f"with closer views on {judged(EnsembleWeights(whole=0.5, tiles=0.5))[1].mean():.0%}"
    )
    if matched:
        figures += f", the matcher's alone on {judged(EnsembleWeights(whole=0.0, matcher=1.0))[1].mean():.0%}"
    if not chosen.looks_closer and not chosen.matcher:
        return replace(chosen, reason=f"The whole photo decides alone: {figures}, and nothing else surely helps.")
    early, closer = None, None
    if chosen.whole or chosen.looks_closer:
        # Without these an early answer would rest on nothing at all.
        early = _early(lead(evidence.whole), evidence.whole.argmax(axis=1) == truth, right, _LOST)
    if chosen.looks_closer and (chosen.matcher or chosen.closest):
        # Photos whose answer stands already are no longer asked, so they count as they are answered.
        stands = lead(evidence.whole) >= (np.inf if early is None else early)
        kept = np.where(stands, evidence.whole.argmax(axis=1) == truth, right)
        leads = np.where(stands, -np.inf, lead((evidence.whole + evidence.tiles) / 2))
        # Where it is, the closer views stand for those within them.
        without = replace(chosen, matcher=0.0, closest=0.0, tiles=chosen.tiles + chosen.closest)
        closer = _early(leads, without.logits(evidence).argmax(axis=1) == truth, kept, 0.0)
    return replace(
        chosen,
        lead=early,
        lead_closer=closer,
        reason=f"{_named(chosen)} together: {figures}, this on {right.mean():.0%}.",
    )


def _named(stack: EnsembleWeights) -> str:
    parts = [
        name
        for name, weight in (
            ("Whole photo", stack.whole),
            ("closer views", stack.tiles),
            ("views within these", stack.closest),
            ("matcher", stack.matcher),
        )
        if weight
    ]
    text = " and ".join(", ".join(parts).rsplit(", ", 1))
    return text[0].upper() + text[1:]


def _early(leads: FloatArray64, good: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], lost: float) -> float | None:
    """The least lead from which answers that are this good cost at most this share; None where there is no such."""
    for least in _LEADS:
        early = leads >= least
        if early.any() and float((right & ~good & early).mean()) <= lost:
            return least
    return None


def fit_presence(stack: EnsembleWeights, evidence: Evidence, shows: npt.NDArray[np.bool_]) -> EnsembleWeights:
    """Decide what counts in telling whether there is a logo: logistic regression, both cases weighing the same.

    A weight that comes out negative is set to 0 and the others are fitted again: more evidence must never speak against.

    Args:
        stack: how labels are told apart.
        evidence: of photos with and without a logo, that were not learned from.
        shows: whether there is one, of shape (n,); some must and some must not.
    """
    best = stack.logits(evidence).argmax(axis=1)
    rows = np.arange(len(best))
    parts = (evidence.whole, evidence.tiles, evidence.closest, evidence.matcher)
    looked = (True, stack.looks_closer, stack.looks_closest, True)
    table = np.stack([part[rows, best] for part in parts], axis=1)
    weights = nonnegative_logistic(table * np.array(looked), shows)
    if not weights.any():
        return stack
    whole, tiles, closest, matcher = weights.tolist()
    return replace(stack, shows_whole=whole, shows_tiles=tiles, shows_closest=closest, shows_matcher=matcher)


def nonnegative_logistic(table: FloatArray64, truth: npt.NDArray[np.bool_]) -> FloatArray64:
    """Weights of a logistic regression, none of which is negative; columns that say nothing, or the contrary, weigh 0.

    Args:
        table: of shape (n, columns).
        truth: what is to be told from it, of shape (n,); some must hold and some must not.
    """
    used = [number for number in range(table.shape[1]) if np.ptp(table[:, number]) > 1e-9]
    weights = np.zeros(table.shape[1])
    while used:
        fitted = _logistic(table[:, used], truth)
        if (fitted >= 0).all():
            weights[used] = fitted
            break
        used = [number for number, weight in zip(used, fitted, strict=True) if weight >= 0]
    return weights


def _logistic(table: FloatArray64, truth: npt.NDArray[np.bool_]) -> FloatArray64:
    """Weights of a logistic regression with an offset, a little ridge, by Newton's steps; float64 of shape (columns,)."""
    scale = table.std(axis=0) + 1e-9
    x = np.concatenate([table / scale, np.ones((len(table), 1))], axis=1)
    share = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~truth).sum()))
    ridge = np.diag([1e-3] * table.shape[1] + [1e-9])
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        probability = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (share * (probability - truth)) + ridge @ weights
        bend = (x * (share * probability * (1 - probability))[:, None]).T @ x + ridge + 1e-12 * np.eye(len(ridge))
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights[:-1] / scale)
