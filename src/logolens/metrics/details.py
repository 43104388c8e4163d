"""Beyond the single figures: intervals of each, parts of the data apart, the open set, and what confidences are worth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.metrics.bootstrap import Draws, Interval
from logolens.metrics.confidence import Bin, Risk, area_under_risk, reliability, risk_coverage
from logolens.types import FloatArray64

__all__ = ["SIZES", "Answered", "Details", "Mixed", "OpenSet", "Slice", "detail"]


SIZES = ((0.0, 0.01), (0.01, 0.04), (0.04, 0.16), (0.16, 1.0))
"""Shares of the photo that its logo covers, by which figures are told apart: above the first, up to the second."""

_MOST_SOURCES = 30


@dataclass(frozen=True)
class Slice:
    """A part of the images with a logo: how many there are, and the share whose best label is right."""

    name: str
    n: int
    top1: float
    top1_ci95: Interval | None


@dataclass(frozen=True)
class OpenSet:
    """All images, with and without a logo, answered as `predict` answers: with a label or with ``none``.

    Attributes:
        n: how many images.
        accuracy: the share that is answered rightly, ``none`` being right where no logo shows.
        accuracy_ci95: its interval.
        auroc_ci95: the interval of the chance that an image with a logo scores above one without.
        false_alarm_ci95: the interval of the share of images without a logo that get a label, near copies counted together.
    """

    n: int
    accuracy: float
    accuracy_ci95: Interval | None
    auroc_ci95: Interval | None
    false_alarm_ci95: Interval | None


@dataclass(frozen=True)
class Mixed:
    """Two labels that are mixed up: images of `true` that are answered with `predicted`."""

    true: str
    predicted: str
    count: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """What n images show and what they were answered with.

    Attributes:
        images: their names.
        truth: the positions of the labels that each shows; empty where it shows no logo.
        labels: probabilities of the labels, given that one shows; float64 of shape (n, labels).
        shows: whether `predict` gives a label, and not ``none``; bool of shape (n,).
        scores: how strongly each seems to show a logo, of shape (n,); None of a model that does not know ``none``.
        confidence: of what `predict` says, of shape (n,).
        groups: a key for each; near copies share one.
        sizes: the share of the photo that its largest logo covers, of shape (n,); not a number where it is not known.
        sources: where each comes from; None where it is not known.
    """

    images: Sequence[str]
    truth: Sequence[tuple[int, ...]]
    labels: FloatArray64
    shows: npt.NDArray[np.bool_]
    scores: FloatArray64 | None
    confidence: FloatArray64
    groups: Sequence[Hashable]
    sizes: FloatArray64
    sources: Sequence[str | None]

    @property
    def is_logo(self) -> npt.NDArray[np.bool_]:
        """Whether each image shows a logo."""
        return np.array([bool(shown) for shown in self.truth], dtype=np.bool_)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each image's best label, ``none`` aside, is right."""
        return np.array(
            [best in shown for best, shown in zip(self.labels.argmax(axis=1).tolist(), self.truth, strict=True)],
            np.bool_,
        )


@dataclass(frozen=True)
class Details:
    """What `detail` found. Intervals are of 95 %, by bootstrap over photos, near copies drawn together.

    Attributes:
        top5_ci95: the interval of `top5`.
        macro_f1_ci95: the interval of `macro_f1`.
        per_class_ci95: the intervals of each label's precision and recall.
        by_size: photos by the share of them that the logo covers, where boxes tell it.
        by_source: photos by where they come from: the table's column source, its column group, or the folder below the
            label's; the largest first, and empty where there is one only.
        crops: the box crops of these photos, each asked about as if it were a photo; null without boxes.
        open_set: with ``none`` as an answer; null of a bundle that does not know it.
        reliability: confidence against the share of right answers, for images with a logo and the label alone.
        risk_coverage: answering the surest images alone, as `predict` answers: how many are wrong.
        aurc: the mean risk over all coverages.
        confused: the labels that are mixed up most often, with the images.
    """

    top5_ci95: Interval | None
    macro_f1_ci95: Interval | None
    per_class_ci95: dict[str, dict[str, Interval | None]]
    by_size: tuple[Slice, ...]
    by_source: tuple[Slice, ...]
    crops: Slice | None
    open_set: OpenSet | None
    reliability: tuple[Bin, ...]
    risk_coverage: tuple[Risk, ...]
    aurc: float | None
    confused: tuple[Mixed, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and null."""
        return asdict(self)


def detail(
    answered: Answered,
    names: Sequence[str],
    *,
    crops: tuple[Sequence[bool], Sequence[Hashable]] | None = None,
    seed: int = 0,
) -> Details:
    """Look closer at answers.

    Args:
        answered: the images; at least one.
        names: of the labels, in the order of their columns.
        crops: whether each crop was answered rightly, and the group of its photo.
        seed: of the bootstrap.
    """
    draws = Draws(answered.groups, seed=seed)
    logo, right = answered.is_logo, answered.right
    best = answered.labels.argmax(axis=1)
    # An image of several labels stands under its answer where that is right, else under the first; as in `evaluate`.
    row = np.array(
        [b if r else (t[0] if t else -1) for b, r, t in zip(best, right, answered.truth, strict=True)], np.int64
    )
    order = np.argsort(-answered.labels, axis=1, kind="stable")[:, :5].tolist()
    in_five = [not set(five).isdisjoint(shown) for five, shown in zip(order, answered.truth, strict=True)]
    said = answered.shows & right & logo | ~answered.shows & ~logo
    return Details(
        top5_ci95=draws.share(in_five, logo),
        macro_f1_ci95=_macro_f1(draws, row, best, logo, len(names)),
        per_class_ci95={
            name: {
                "precision": draws.share(row == number, logo & (best == number)),
                "recall": draws.share(best == number, logo & (row == number)),
            }
            for number, name in enumerate(names)
        },
        by_size=tuple(_by_size(answered, draws, right, logo)),
        by_source=tuple(_by_source(answered, draws, right, logo)),
        crops=_crops(crops, seed),
        open_set=_open_set(answered, draws, said, logo) if answered.scores is not None and not logo.all() else None,
        reliability=reliability(answered.labels.max(axis=1)[logo], right[logo]),
        risk_coverage=risk_coverage(answered.confidence, said),
        aurc=area_under_risk(answered.confidence, said),
        confused=tuple(_confused(answered, names, row, best, right, logo)),
    )


def _macro_f1(
    draws: Draws, row: npt.NDArray[np.int64], best: npt.NDArray[np.int64], logo: npt.NDArray[np.bool_], count: int
) -> Interval | None:
    columns = np.arange(count)
    true = ((row[:, None] == columns) & logo[:, None]).astype(np.float64)
    answer = ((best[:, None] == columns) & logo[:, None]).astype(np.float64)

    def figure(weight: FloatArray64) -> FloatArray64:
        hits, held, given = weight @ (true * answer), weight @ true, weight @ answer
        f1 = np.divide(2 * hits, held + given, out=np.zeros_like(hits), where=held > 0)
        labels = (held > 0).sum(axis=1)
        mean = np.divide(f1.sum(axis=1), labels, out=np.full(len(labels), np.nan), where=labels > 0)
        return np.asarray(mean, np.float64)

    return draws.interval(figure) if logo.any() else None


def _by_size(
    answered: Answered, draws: Draws, right: npt.NDArray[np.bool_], logo: npt.NDArray[np.bool_]
) -> list[Slice]:
    found = []
    for low, high in SIZES:
        here = logo & (answered.sizes > low) & (answered.sizes <= high)
        name = f"up to {high:.0%}" if not low else f"over {low:.0%}" if high == 1.0 else f"{low:.0%} to {high:.0%}"
        if here.any():
            found.append(Slice(name, int(here.sum()), float(right[here].mean()), draws.share(right, here)))
    return found


def _by_source(
    answered: Answered, draws: Draws, right: npt.NDArray[np.bool_], logo: npt.NDArray[np.bool_]
) -> list[Slice]:
    named = np.array([source or "" for source in answered.sources], dtype=object)
    sources = sorted(set(named[logo]) - {""}, key=lambda source: (-int((named[logo] == source).sum()), str(source)))
    if len(sources) < 2:
        return []
    found = []
    for source in sources[:_MOST_SOURCES]:
        here = logo & (named == source)
        found.append(Slice(str(source), int(here.sum()), float(right[here].mean()), draws.share(right, here)))
    return found


def _crops(crops: tuple[Sequence[bool], Sequence[Hashable]] | None, seed: int) -> Slice | None:
    if crops is None or not len(crops[0]):
        return None
    hits = np.array(crops[0], dtype=np.float64)
    return Slice("crops", len(hits), float(hits.mean()), Draws(crops[1], seed=seed).share(hits))


def _open_set(answered: Answered, draws: Draws, said: npt.NDArray[np.bool_], logo: npt.NDArray[np.bool_]) -> OpenSet:
    assert answered.scores is not None
    return OpenSet(
        n=len(said),
        accuracy=float(said.mean()),
        accuracy_ci95=draws.share(said),
        auroc_ci95=_auroc(draws, answered.scores, logo) if logo.any() else None,
        false_alarm_ci95=draws.share(answered.shows, ~logo),
    )


def _auroc(draws: Draws, scores: FloatArray64, logo: npt.NDArray[np.bool_]) -> Interval | None:
    order = np.argsort(scores, kind="stable")
    begins = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive, negative = logo[order].astype(np.float64), (~logo[order]).astype(np.float64)

    def figure(weight: FloatArray64) -> FloatArray64:
        ranked = weight[:, order]
        # Images of one score are one step of the curve.
        above = np.add.reduceat(ranked * positive, begins, axis=1)
        below = np.add.reduceat(ranked * negative, begins, axis=1)
        passed = np.cumsum(below, axis=1) - below / 2
        total = above.sum(axis=1) * below.sum(axis=1)
        area = np.divide((above * passed).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
        return np.asarray(area, np.float64)

    return draws.interval(figure)


def _confused(
    answered: Answered,
    names: Sequence[str],
    row: npt.NDArray[np.int64],
    best: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    logo: npt.NDArray[np.bool_],
) -> list[Mixed]:
    mixed: dict[tuple[int, int], list[int]] = {}
    for number in np.flatnonzero(logo & ~right).tolist():
        mixed.setdefault((int(row[number]), int(best[number])), []).append(number)
    ranked = sorted(mixed.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [
        Mixed(names[true], names[answer], len(members), tuple(answered.images[number] for number in members))
        for (true, answer), members in ranked
    ]
