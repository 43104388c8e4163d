"""Metrics on arrays, nothing else: how often answers are right, how sure that is, and how honest confidences are.

Nothing here opens an image or a bundle: the caller hands over probabilities and the truth, and gets figures that are
ready for JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import DataError, UsageError

__all__ = [
    "Evaluation",
    "LabelFigures",
    "Misclassified",
    "NoneFigures",
    "auroc",
    "bootstrap_interval",
    "confusion_pairs",
    "evaluate",
    "expected_calibration_error",
    "wilson_interval",
]

FloatArray = npt.NDArray[np.float64]

Truth = int | str | Collection[int] | Collection[str]
"""What one image shows: a label, its position in ``labels``, or several of either."""

_Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution
_SUM_TOLERANCE = 1e-3  # what float16 arithmetic over some hundred labels may lose


@dataclass(frozen=True)
class LabelFigures:
    """The figures of one label. A figure that nothing defines is None: recall and F1 of a label without images."""

    n: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Misclassified:
    """One image whose answer is wrong, and how sure the answer was."""

    image: str
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class NoneFigures:
    """The figures of the images that show no logo."""

    n: int
    auroc: float | None
    false_alarm_rate: float

    @property
    def false_alarm_ci95(self) -> tuple[float, float]:
        """The 95 % interval of the false alarm rate (Wilson 1927)."""
        return wilson_interval(round(self.false_alarm_rate * self.n), self.n)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found. Shares lie from 0 to 1; a figure that nothing defines is None.

    Attributes:
        n: the images that show a logo; every figure but `none` is about these alone.
        top1: the share whose answer is right.
        top5: the share whose true label is among the five most probable labels (all of them where there are fewer).
        top1_ci95: the 95 % interval of `top1`.
        macro_f1: the mean of the F1 figures over the labels that have images.
        ece: the expected calibration error.
        per_class: the figures of each label, `none` excepted.
        confusion: counts, one row a true label, one column an answer, both in the order of `labels`.
        labels: the names of the rows and columns; ends in ``none`` where an image can be answered with it.
        misclassified: the wrong answers, surest first.
        none: the figures of the images that show no logo, where such were given.
        missed: the share of the images with a logo whose score stays below the threshold, so that predicting answers
            ``none``; None where it never does.
    """

    n: int
    top1: float | None
    top5: float | None
    top1_ci95: tuple[float | None, float | None]
    macro_f1: float | None
    ece: float | None
    per_class: dict[str, LabelFigures]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    misclassified: tuple[Misclassified, ...] = ()
    none: NoneFigures | None = field(default=None)
    missed: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and null, in the form that ``logolens evaluate --json`` prints."""
        out: dict[str, Any] = {
            "n": self.n,
            "top1": self.top1,
            "top5": self.top5,
            "top1_ci95": list(self.top1_ci95),
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "per_class": {
                label: {"n": row.n, "precision": row.precision, "recall": row.recall, "f1": row.f1}
                for label, row in self.per_class.items()
            },
            "confusion": [list(row) for row in self.confusion],
            "labels": list(self.labels),
            "misclassified": [
                {"image": row.image, "true": row.true, "predicted": row.predicted, "confidence": row.confidence}
                for row in self.misclassified
            ],
        }
        if self.missed is not None:
            out["missed"] = self.missed
        if self.none is not None:
            out["none"] = {
                "n": self.none.n,
                "auroc": self.none.auroc,
                "false_alarm_rate": self.none.false_alarm_rate,
                "false_alarm_ci95": list(self.none.false_alarm_ci95),
            }
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """The way back from `to_json`, for the evaluation that a manifest holds.

        Raises:
            DataError: a key is missing or holds something else.
        """
        try:
            low, high = data["top1_ci95"]
            none = data.get("none")
            return cls(
                n=data["n"],
                top1=data["top1"],
                top5=data["top5"],
                top1_ci95=(low, high),
                macro_f1=data["macro_f1"],
                ece=data["ece"],
                per_class={label: LabelFigures(**row) for label, row in data["per_class"].items()},
                confusion=tuple(tuple(row) for row in data["confusion"]),
                labels=tuple(data["labels"]),
                misclassified=tuple(Misclassified(**row) for row in data["misclassified"]),
                none=None if none is None else NoneFigures(none["n"], none["auroc"], none["false_alarm_rate"]),
                missed=data.get("missed"),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"This is not an evaluation that logolens wrote ({type(error).__name__}: {error}). "
                "Write it again with logolens evaluate --json."
            ) from error


def evaluate(
    probabilities: npt.ArrayLike,
    truth: Sequence[Truth],
    labels: Sequence[str],
    *,
    images: Sequence[str] | None = None,
    scores: npt.ArrayLike | None = None,
    threshold: float | None = None,
    closed: bool = False,
    groups: Sequence[object] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge the probabilities of n images over k labels against the truth.

    Images whose true label is ``none`` are left out of every figure but `Evaluation.none`.

    The answer to an image is what predicting would say: the most probable label, or ``none`` where the image's score
    stays below `threshold` (without a threshold: where ``none`` is among `labels` and the most probable). An image that
    shows a logo and is answered with ``none`` counts as wrong. `top5` and `ece` look at the probabilities alone, so
    that the threshold does not touch them.

    An image that shows several labels is right when its answer is any of them. It stands in the confusion matrix and in
    `per_class` once: under its answer where that is right, else under the first of its labels (of a set: the first in
    the order of `labels`).

    Args:
        probabilities: (n, k); each row sums to 1.
        truth: n entries: a label, its position, or several of either. ``none`` marks an image without a logo.
        labels: the k names of the columns; may hold ``none`` where background was learned as a label.
        images: n names for the list of wrong answers; their numbers when absent.
        scores: (n,) how strongly each image seems to show any logo, on any scale that grows with it. By default 1 minus
            the probability of ``none`` where that is a label, else the largest probability.
        threshold: the score from which on an image is answered with a label.
        closed: answer with the most probable label even below the threshold, and never with ``none``, for figures that
            compare with those of closed sets. The false alarm rate keeps to the threshold.
        groups: n keys of images that belong together (near copies, frames of one video). With them the interval comes
            from a bootstrap over groups, since photos of a group are not independent; else it is Wilson's.
        seed: of the bootstrap.

    Raises:
        DataError: there are no images, or one shows a label that is not among `labels`.
        UsageError: the arrays do not fit each other, are not finite, or are no probabilities.
    """
    names = _checked_labels(labels)
    table = _checked_probabilities(probabilities, len(names))
    for what, values in (("truth", truth), ("images", images), ("groups", groups)):
        if values is not None and len(values) != len(table):
            raise UsageError(
                f"There are {len(table)} rows of probabilities and {len(values)} entries in {what}; give one for each."
            )
    if len(table) == 0:
        raise DataError("There are no images to evaluate. Check that the folder or list holds images that can be read.")
    shown = [str(i) for i in range(len(table))] if images is None else [str(name) for name in images]
    true = [_true_labels(entry, names, shown[i]) for i, entry in enumerate(truth)]

    # From here on columns are logos alone, in their given order; the column of "none", if there is one, stands apart.
    logos = [name for name in names if name != BACKGROUND]
    sure = table[:, [name != BACKGROUND for name in names]]
    none = table[:, names.index(BACKGROUND)] if BACKGROUND in names else None
    strength = _checked_scores(scores, sure, none)
    rejected = _rejected(sure, none, strength, threshold)

    is_logo = np.array([bool(entry) for entry in true], dtype=np.bool_)
    logo = np.flatnonzero(is_logo)
    options = [true[i] for i in logo.tolist()]
    best = np.argmax(sure, axis=1)[logo]

    # Only a model that can say "none" gets a row and a column for it, the last.
    can_reject = not closed and (threshold is not None or none is not None)
    order = logos + [BACKGROUND] * can_reject
    answer = np.where(rejected[logo], len(logos), best) if can_reject else best
    right = _is_any(answer, options)
    row = np.where(right, answer, np.array([entry[0] for entry in options], dtype=np.int64))
    confusion = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(confusion, (row, answer), 1)
    per_class = {name: _label_figures(confusion, i) for i, name in enumerate(logos)}

    confidence = sure[logo, best]
    if can_reject:  # of "none" without a column of its own: what the best label lacks to 1
        confidence = np.where(rejected[logo], 1 - confidence if none is None else none[logo], confidence)
    wrong = [
        Misclassified(shown[logo[j]], order[row[j]], order[answer[j]], float(np.clip(confidence[j], 0, 1)))
        for j in np.flatnonzero(~right)
    ]
    wrong.sort(key=lambda entry: -entry.confidence)

    interval: tuple[float | None, float | None] = (None, None)
    if len(logo) and groups is None:
        interval = wilson_interval(int(right.sum()), len(right))
    elif len(logo) and groups is not None:
        interval = bootstrap_interval(right, [groups[i] for i in logo.tolist()], seed=seed)
    return Evaluation(
        n=len(logo),
        top1=float(right.mean()) if len(logo) else None,
        top5=_top(sure[logo], options, 5) if len(logo) else None,
        top1_ci95=interval,
        macro_f1=_mean([figures.f1 for figures in per_class.values() if figures.f1 is not None]),
        ece=_calibration(sure[logo], None if none is None else none[logo], options) if len(logo) else None,
        per_class=per_class,
        confusion=tuple(tuple(counts) for counts in confusion.tolist()),
        labels=tuple(order),
        misclassified=tuple(wrong),
        none=None if is_logo.all() else _none_figures(strength, rejected, is_logo),
        missed=float(rejected[logo].mean()) if len(logo) and (threshold is not None or none is not None) else None,
    )


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212).

    Unlike the textbook interval it keeps its promise for few images and for shares near 0 and 1. It takes images to be
    independent of each other.

    Raises:
        UsageError: n is not positive, or `right` is not from 0 to n.
    """
    if n < 1 or not 0 <= right <= n:
        raise UsageError(f"An interval needs at least one image and from 0 to n right answers; got {right} of {n}.")
    share, spread = right / n, _Z95 * _Z95 / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * float(np.sqrt(share * (1 - share) / n + spread / (4 * n))) / (1 + spread)
    # At the ends the formula gives exactly 0 and 1 but for rounding.
    return (0.0 if right == 0 else middle - half, 1.0 if right == n else middle + half)


def bootstrap_interval(
    right: npt.ArrayLike, groups: Sequence[object], *, seed: int = 0, samples: int = 2000
) -> tuple[float, float]:
    """The 95 % percentile interval of a share, by drawing whole groups with replacement (Efron, 1979).

    Where every draw would give one and the same share (all right, all wrong, a single group), the bootstrap knows of no
    spread and its interval would be a point; Wilson's interval over the number of groups is returned instead.

    Args:
        right: (n,) whether each image was answered rightly.
        groups: n hashable keys.
        seed: the same seed gives the same interval.
        samples: how many draws.

    Raises:
        UsageError: the lengths differ or are zero.
    """
    hits = np.asarray(right, dtype=np.float64)
    if len(hits) == 0 or len(hits) != len(groups):
        raise UsageError(f"A bootstrap needs a group for each image; got {len(hits)} images and {len(groups)} groups.")
    numbers: dict[object, int] = {}
    member = np.array([numbers.setdefault(key, len(numbers)) for key in groups])
    sizes = np.bincount(member).astype(np.float64)
    sums = np.bincount(member, weights=hits)
    if np.ptp(sums / sizes) == 0:
        share = float(sums[0] / sizes[0])
        return wilson_interval(round(share * len(sizes)), len(sizes))
    generator = np.random.default_rng(seed)
    shares = np.empty(samples)
    step = max(1, 2_000_000 // len(sizes))  # bounds the memory for many groups
    for start in range(0, samples, step):
        drawn = generator.integers(len(sizes), size=(min(step, samples - start), len(sizes)))
        shares[start : start + len(drawn)] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def expected_calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, *, bins: int = 15) -> float:
    """How far confidences lie from the share of right answers, over equal-width bins (Guo et al., 2017).

    The paper is "On Calibration of Modern Neural Networks", arXiv:1706.04599.

    Args:
        confidence: (n,) from 0 to 1; a bin holds its upper bound, as in the paper, and the first holds 0 as well.
        right: (n,) whether each answer was right.
        bins: how many.

    Raises:
        UsageError: there are no images, or a confidence is not from 0 to 1.
    """
    sure, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if len(sure) == 0 or len(sure) != len(hits):
        raise UsageError(f"A calibration error needs one answer for each confidence; got {len(sure)} and {len(hits)}.")
    if not (np.isfinite(sure).all() and sure.min() >= 0 and sure.max() <= 1 + _SUM_TOLERANCE):
        raise UsageError("A confidence is not from 0 to 1; hand over probabilities, not scores.")
    bin_of = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=hits - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float | None:
    """The chance that a positive scores above a negative, ties counted half (Mann and Whitney, 1947).

    Args:
        positive: (p,) scores of the images that show a logo.
        negative: (q,) scores of those that do not.

    Returns:
        From 0 to 1, or None where either is empty.
    """
    above, below = np.asarray(positive, dtype=np.float64), np.sort(np.asarray(negative, dtype=np.float64))
    if len(above) == 0 or len(below) == 0:
        return None
    lower = np.searchsorted(below, above, side="left").sum(dtype=np.int64)
    not_higher = np.searchsorted(below, above, side="right").sum(dtype=np.int64)
    return float((lower + not_higher) / (2 * len(above) * len(below)))


def confusion_pairs(evaluation: Evaluation, most: int = 10) -> list[tuple[str, str, int]]:
    """The pairs that are mixed up most often: (true label, answer, how often), the most frequent first."""
    pairs = [
        (evaluation.labels[i], evaluation.labels[j], count)
        for i, row in enumerate(evaluation.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[: max(most, 0)]


def _checked_labels(labels: Sequence[str]) -> list[str]:
    names = [str(name) for name in labels]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"These labels stand twice: {', '.join(twice)}. Each column needs a name of its own.")
    if not any(name != BACKGROUND for name in names):
        raise UsageError("There is no label to judge; give at least one label other than 'none'.")
    return names


def _checked_probabilities(probabilities: npt.ArrayLike, width: int) -> FloatArray:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.size == 0 and table.ndim <= 2:
        return table.reshape(0, width)
    if table.ndim != 2 or table.shape[1] != width:
        raise UsageError(f"The probabilities have shape {table.shape}; with {width} labels it must be (n, {width}).")
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(bad):
        raise UsageError(f"Row {bad[0]} of the probabilities holds a value that is not finite. Check what gave them.")
    bad = np.flatnonzero((table.min(axis=1) < -_SUM_TOLERANCE) | (np.abs(table.sum(axis=1) - 1) > _SUM_TOLERANCE))
    if len(bad):
        raise UsageError(
            f"Row {bad[0]} of the probabilities sums to {table[bad[0]].sum():.4g} with a smallest value of "
            f"{table[bad[0]].min():.4g}; each row must be of values from 0 to 1 that sum to 1. Apply softmax first."
        )
    return table


def _checked_scores(scores: npt.ArrayLike | None, sure: FloatArray, none: FloatArray | None) -> FloatArray:
    if scores is None:
        return sure.max(axis=1) if none is None else 1 - none
    strength = np.asarray(scores, dtype=np.float64)
    if strength.shape != (len(sure),):
        raise UsageError(f"The scores have shape {strength.shape}; with {len(sure)} images it must be {(len(sure),)}.")
    bad = np.flatnonzero(np.isnan(strength))
    if len(bad):
        raise UsageError(f"The score of image number {bad[0]} is no number; each image needs one.")
    return strength


def _true_labels(entry: Truth, names: list[str], image: str) -> tuple[int, ...]:
    """An image's true labels as positions among the logos, in the order given; empty for an image without a logo."""
    several: list[Any] = [entry] if isinstance(entry, (str, int, np.integer)) else list(entry)
    logos = [name for name in names if name != BACKGROUND]
    found: list[int] = []
    for value in several:
        if isinstance(value, str):
            name = value
        elif 0 <= int(value) < len(names):
            name = names[int(value)]
        else:
            raise DataError(f"{image} has label number {value}; there are {len(names)} labels, counted from 0.")
        if name == BACKGROUND:
            continue
        if name not in logos:
            raise DataError(
                f"{image} shows {name!r}, which is not among the {len(logos)} labels. "
                "Leave its images out, or train with them."
            )
        found.append(logos.index(name))
    if not several:
        raise DataError(f"{image} has no true label. Name one, or 'none' where it shows no logo.")
    if found and len(found) < len(several):
        raise DataError(f"{image} is said to show {logos[found[0]]!r} and 'none' at once. Correct its labels.")
    return tuple(sorted(found) if isinstance(entry, (set, frozenset)) else found)


def _rejected(
    sure: FloatArray, none: FloatArray | None, strength: FloatArray, threshold: float | None
) -> npt.NDArray[np.bool_]:
    """Which images are answered with ``none``."""
    if threshold is None:
        return np.zeros(len(sure), dtype=np.bool_) if none is None else none > sure.max(axis=1)
    if threshold != threshold:
        raise UsageError("The threshold is no number; give the score from which on images are answered with a label.")
    return strength < threshold


def _is_any(answer: npt.NDArray[Any], options: list[tuple[int, ...]]) -> npt.NDArray[np.bool_]:
    return np.array([a in entry for a, entry in zip(answer.tolist(), options, strict=True)], dtype=np.bool_)


def _label_figures(confusion: npt.NDArray[np.int64], i: int) -> LabelFigures:
    hits, n, answered = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
    # A label that has images but was never answered gets precision 0, as in scikit-learn's zero_division=0.
    precision = hits / answered if answered else (0.0 if n else None)
    return LabelFigures(n, precision, hits / n if n else None, 2 * hits / (n + answered) if n else None)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _top(sure: FloatArray, options: list[tuple[int, ...]], most: int) -> float:
    ranked = np.argsort(-sure, axis=1, kind="stable")[:, :most].tolist()
    return sum(not set(entry).isdisjoint(best) for entry, best in zip(options, ranked, strict=True)) / len(options)


def _calibration(sure: FloatArray, none: FloatArray | None, options: list[tuple[int, ...]]) -> float:
    best, confidence = np.argmax(sure, axis=1), sure.max(axis=1)
    right = _is_any(best, options)
    if none is not None:
        right, confidence = right & (none <= confidence), np.maximum(none, confidence)
    return expected_calibration_error(np.clip(confidence, 0, 1), right)


def _none_figures(strength: FloatArray, rejected: npt.NDArray[np.bool_], is_logo: npt.NDArray[np.bool_]) -> NoneFigures:
    return NoneFigures(
        n=int((~is_logo).sum()),
        auroc=auroc(strength[is_logo], strength[~is_logo]),
        false_alarm_rate=float(np.mean(~rejected[~is_logo])),
    )
