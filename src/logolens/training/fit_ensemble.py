"""The experts together: how much each counts is decided on held-out photos.

A network sees kinds of things, geometry sees this very drawing, and a closer view sees small logos but also more chances
to err. Which of them serves differs between data sets, so none is trusted by rule: their out-of-fold evidence is added in
several proportions (stacked generalisation: Wolpert, Neural Networks 5, 1992), and what costs time is taken only where it
surely helps. Which label it is and whether there is a logo at all are two questions, each with weights of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from logolens.metrics.logistic import nonnegative_logistic
from logolens.models.calibration import calibrate, softmax
from logolens.models.ensemble import NETWORK, EnsembleWeights, Evidence, above_next, lead, mean_through, promise
from logolens.models.experts import expert_of, first_experts
from logolens.types import FloatArray64

__all__ = ["choose_weights", "fit_floors", "fit_presence", "keep_stops"]


_CLOSER = (0.0, 0.5, 1.0)
"""Weights of the closer views beside the whole photo's 1."""

_MIXED = tuple((share, 1.0 - share, 0.0) for share in (0.67, 0.5, 0.33, 0.0))
"""Shares of the whole photo, of closer views and of views within these, where the last are not looked at."""

_WITHIN = ((0.33, 0.33), (0.5, 0.25), (0.4, 0.4), (0.25, 0.25), (0.33, 0.0))
"""Shares of the whole photo and of closer views where views within these make up the rest."""

_BOTH = ((1.0, 1.0), (0.5, 0.5), (0.0, 1.0), (0.0, 0.5))
"""Weights of closer views and of views within these beside the whole photo's 1."""

_BESIDE = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of another expert's evidence beside a head at its own temperature."""

_MARGINS = (2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Margins over the next label, tried as those at which an answer stands."""

_GAINED = 1e-4
"""Nats a photo below which nothing was gained, however sure it is: views that say the same differ by rounding."""

_LOST = 0.004
"""The share of photos that answering early, by the whole photo alone, may cost. Not asking more after that must cost none."""


_CAUTION = 1.5
"""How much stricter early answers are than those heads need that have not seen a fold."""


def choose_weights(evidence: Evidence, truth: npt.NDArray[np.int64]) -> EnsembleWeights:
    """Decide what counts and how much, on photos that no expert has learned from.

    Proportions are compared by their cross-entropy at the best temperature each, in rungs: the whole photo, closer views,
    views within these, and then each further expert that was asked, in the order of their cost, each beside the network's
    views in several proportions and beside the experts that were taken before. A rung is taken only where it beats what costs
    less by more than one standard error of the paired differences. An answer may stand early where that costs at most four
    photos in a thousand.

    Args:
        evidence: of photos that show a logo, n of them.
        truth: positions of their labels, int64 of shape (n,).
    """
    judge = _Judge(evidence, truth)
    chosen = EnsembleWeights()
    best = judge(chosen)
    for rung in judge.rungs():
        for tried in rung(chosen):
            weights, its = min(((one, judge(one)) for one in tried), key=lambda entry: float(entry[1].losses.mean()))
            if _surely(best.losses - its.losses):
                chosen, best = weights, its
    figures = judge.figures()
    if set(chosen.labels) == {"whole"}:
        return replace(chosen, reason=f"The whole photo decides alone: {figures}, and nothing else surely helps.")
    stops = _stops(chosen, evidence, truth, best.right)
    reason = f"{_named(chosen)} together: {figures}, this on {best.right.mean():.0%}."
    return replace(chosen, stop_margins=stops, reason=reason)


@dataclass(frozen=True)
class _Verdict:
    """What weights come to: nats lost on each photo, and which are answered rightly."""

    losses: FloatArray64
    right: npt.NDArray[np.bool_]


class _Judge:
    """Holds weights against the truth of held-out photos."""

    def __init__(self, evidence: Evidence, truth: npt.NDArray[np.int64]) -> None:
        self._evidence, self._truth = evidence, truth
        self._rows = np.arange(len(truth))
        self._scale = 1.0 / self._temperature(evidence["whole"])

    def _temperature(self, logits: FloatArray64) -> float:
        return calibrate(logits, self._truth, background=False, max_false_alarms=1.0).temperature

    def __call__(self, weights: EnsembleWeights) -> _Verdict:
        logits = weights.logits(self._evidence)
        likely = softmax(logits / self._temperature(logits))[self._rows, self._truth]
        return _Verdict(-np.log(np.maximum(likely, 1e-12)), logits.argmax(axis=1) == self._truth)

    def rungs(self) -> Iterator[_Rung]:
        """What is tried beside what was chosen so far, what costs less first."""
        yield lambda _: [[_of(*shares) for shares in _MIXED], [_of(a, b, 1.0 - a - b) for a, b in _WITHIN]]
        for name in self._evidence.asked:
            if name not in NETWORK and expert_of(name).counts:
                yield partial(self._beside, name)

    def _beside(self, name: str, chosen: EnsembleWeights) -> list[list[EnsembleWeights]]:
        """An expert beside the network's views, and alone; experts that were taken before keep their weights."""
        before = {other: weight for other, weight in chosen.labels.items() if other not in NETWORK}
        scale = self._scale
        views = [(scale, scale * closer, 0.0) for closer in _CLOSER]
        more = [(scale, scale * closer, scale * closest) for closer, closest in _BOTH]
        alone = _of(0.0, 0.0, 0.0, {**before, name: 1.0})
        return [
            [*(_of(*shares, {**before, name: weight}) for shares in views for weight in _BESIDE), alone],
            [_of(*shares, {**before, name: weight}) for shares in more for weight in _BESIDE],
        ]

    def figures(self) -> str:
        """How each fares alone, as the beginning of a sentence."""
        closer = self(_of(0.5, 0.5, 0.0)).right.mean()
        text = (
            f"on {len(self._truth)} held-out photos the whole photo's answer is right on "
            f"{self(EnsembleWeights()).right.mean():.0%}, with closer views on {closer:.0%}"
        )
        for name in self._evidence.asked:
            if name not in NETWORK and expert_of(name).counts:
                alone = self(_of(0.0, 0.0, 0.0, {name: 1.0})).right.mean()
                text += f", the {expert_of(name).title}'s alone on {alone:.0%}"
        return text


_Rung: TypeAlias = Callable[[EnsembleWeights], list[list[EnsembleWeights]]]


def _of(whole: float, closer: float, closest: float, others: Mapping[str, float] | None = None) -> EnsembleWeights:
    weights = {"whole": whole, "closer": closer, "closest": closest, **(others or {})}
    return EnsembleWeights({name: weight for name, weight in weights.items() if weight})


def _surely(gained: FloatArray64) -> bool:
    """Whether the mean of paired differences is above one standard error of it."""
    error = float(gained.std(ddof=1) / np.sqrt(len(gained))) if len(gained) > 1 else float("inf")
    return bool(gained.mean() > max(error, _GAINED))


def _stops(
    chosen: EnsembleWeights, evidence: Evidence, truth: npt.NDArray[np.int64], right: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """The margins at which the answer stands after the whole photo, and after closer views."""
    stops: dict[str, float] = {}
    first = evidence["whole"].argmax(axis=1) == truth
    if any(chosen.labels.get(name) for name in NETWORK):
        # Without these an early answer would rest on nothing at all.
        early = _early(lead(evidence["whole"]), first, right, _LOST)
        if early is not None:
            stops["whole"] = early
    later = [name for name in evidence.asked if name not in ("whole", "closer") and chosen.labels.get(name)]
    if chosen.looks_closer and later:
        # Photos whose answer stands already are no longer asked, so they count as they are answered.
        stands = lead(evidence["whole"]) >= stops.get("whole", np.inf)
        kept = np.where(stands, first, right)
        leads = np.where(stands, -np.inf, lead(mean_through("closer", evidence)))
        # Where it is, the closer views stand for those within them.
        labels = {name: weight for name, weight in chosen.labels.items() if name not in later}
        labels["closer"] = chosen.labels.get("closer", 0.0) + chosen.labels.get("closest", 0.0)
        without = replace(chosen, labels=labels)
        closer = _early(leads, without.logits(evidence).argmax(axis=1) == truth, kept, 0.0)
        if closer is not None:
            stops["closer"] = closer
    return stops


def _named(weights: EnsembleWeights) -> str:
    parts = [expert.title for expert in first_experts() if weights.labels.get(expert.name)]
    text = " and ".join(", ".join(parts).rsplit(", ", 1))
    return text[0].upper() + text[1:]


def _early(leads: FloatArray64, good: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], lost: float) -> float | None:
    """The least margin from which answers that are this good cost at most this share; None where there is no such."""
    for least in _MARGINS:
        early = leads >= least
        if early.any() and float((right & ~good & early).mean()) <= lost:
            return least
    return None


def fit_presence(
    weights: EnsembleWeights,
    evidence: Evidence,
    shows: npt.NDArray[np.bool_],
    unknown: Sequence[Evidence] = (),
) -> EnsembleWeights:
    """Decide what counts in telling whether there is a logo: logistic regression, both cases weighing the same.

    A weight that comes out negative is set to 0 and the others are fitted again: more evidence must never speak against.

    Args:
        weights: how labels are told apart.
        evidence: of photos with and without a logo, that were not learned from.
        shows: whether there is one, of shape (n,); some must and some must not.
        unknown: of photos with logos of brands that those who were asked do not know, each for the labels that they know;
            they weigh as much as those without a logo. Only beside these does the distance to the next label count.
    """
    names = [name for name in evidence.asked if expert_of(name).counts and (name not in NETWORK or weights.asks(name))]
    tables = [_columns(weights, each, names) for each in (evidence, *unknown)]
    table = np.concatenate(tables)
    truth = np.concatenate([shows, np.zeros(len(table) - len(shows), dtype=bool)])
    if not unknown:
        table[:, -1] = 0.0
    others = np.arange(len(table)) >= len(shows)
    share = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~shows).sum()))
    if others.any():
        part = 0.25 if not shows.all() else 0.5
        share[~truth] /= 2
        share[others] = part / others.sum()
    *fitted, gap = nonnegative_logistic(table, truth, share).tolist()
    presence = {name: weight for name, weight in zip(names, fitted, strict=True) if weight}
    return replace(weights, presence=presence, gap=gap) if presence else weights


def _columns(weights: EnsembleWeights, evidence: Evidence, names: Sequence[str]) -> FloatArray64:
    """What each expert says of the best label, and how far that stands above the next; of shape (n, names + 1)."""
    logits = weights.logits(evidence)
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    return np.stack([*(evidence[name][rows, best] for name in names), above_next(logits)[rows, best]], axis=1)


def keep_stops(weights: EnsembleWeights, judge: Callable[[EnsembleWeights], npt.NDArray[np.bool_]]) -> dict[str, float]:
    """The margins at which an answer stands early, raised until hardly any photo loses its right label by them.

    Evidence that was not asked for speaks for no logo, and without it unknown brands look more like known ones: what early
    answers cost shows only at the threshold that is set for them. The bundle's head has learned from more photos than those
    heads that decide here, and is surer: margins are stricter than what these need.

    Args:
        weights: with the margins at which the labels alone allow an answer to stand.
        judge: which photos that show a logo are given their right label with some weights, at the threshold that these would
            get; of shape (n,).
    """
    before = float(judge(replace(weights, stop_margins={})).mean())
    kept: dict[str, float] = {}
    for name in ("whole", "closer"):
        for margin in [one for one in _MARGINS if one >= weights.stop_margins.get(name, np.inf)]:
            tried = {**kept, name: margin}
            if before - float(judge(replace(weights, stop_margins=tried)).mean()) <= _LOST:
                kept = tried
                break
    return {name: _CAUTION * margin for name, margin in kept.items()}


def fit_floors(
    weights: EnsembleWeights,
    evidence: Evidence,
    right: npt.NDArray[np.bool_],
    shows: npt.NDArray[np.bool_],
    lost: float,
) -> dict[str, float]:
    """Floors of the margins below which a photo surely shows none, and nothing more is asked.

    A floor at the k-th least of n photos' margins loses k - 1 of them, and is expected to lose k / (n + 1) of others. Among the
    floors that together lose no more of these than may be, and are expected to lose no more than twice as many of others, those
    that save the most passes of the network on photos without a logo.

    Args:
        weights: how evidence is added.
        evidence: full evidence of photos with and without a logo, n of them.
        right: which are given the right label where all is asked; of shape (n,).
        shows: which show a logo; of shape (n,).
        lost: the share of those that show a logo that may be lost.
    """
    if not weights.looks_closer:
        return {}
    stands = weights.stops("whole", evidence)
    early = "windows" if "windows" in evidence.asked else "whole"
    first, second = (promise(name, evidence) for name in (early, "closer"))
    count = int(shows.sum())
    budget = min(1 + int(lost * count), int(2 * lost * (count + 1)))
    later = sum(one.cost for one in first_experts() if weights.asks(one.name) and one.name not in ("whole", "closer"))
    closer = expert_of("closer").cost
    best: tuple[float, dict[str, float]] = (closer + later, {})
    for few in range(budget + 1):  # Photos that may be lost after the whole photo; the others after closer views.
        floors: dict[str, float] = {}
        gone = np.zeros(len(first), dtype=bool)
        if few:
            floors[early] = _least(first[right & ~stands], few - 1)
            gone = (first < floors[early]) & ~stands
        also = gone
        if budget - few:
            floors["closer"] = _least(second[right & ~stands & ~gone], budget - few - 1)
            also = gone | ((second < floors["closer"]) & ~stands)
        price = float((~gone * closer + ~also * later)[~shows].mean())
        if price < best[0]:
            best = price, {name: floor for name, floor in floors.items() if np.isfinite(floor)}
    return best[1]


def _least(values: FloatArray64, place: int) -> float:
    """The value at this place among the least; below all others where there are not so many."""
    return float(np.sort(values)[place]) if len(values) > place else -np.inf
