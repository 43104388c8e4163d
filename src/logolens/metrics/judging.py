"""Probabilities and truth to figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import DataError, UsageError
from logolens.metrics.bootstrap import Draws
from logolens.metrics.checking import (
    FloatArray64,
    Truth,
    checked_labels,
    checked_probabilities,
    checked_scores,
    true_labels,
)
from logolens.metrics.figures import Evaluation, LabelFigures, Misclassified, NoneFigures
from logolens.metrics.scores import auroc, expected_calibration_error, wilson_interval

__all__ = ["evaluate"]

_SAMPLES = 2000
"""Draws of groups for the interval of the share that is right."""


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
    names = checked_labels(labels)
    table = checked_probabilities(probabilities, len(names))
    for what, values in (("truth", truth), ("images", images), ("groups", groups)):
        if values is not None and len(values) != len(table):
            raise UsageError(
                f"There are {len(table)} rows of probabilities and {len(values)} entries in {what}; give one for each."
            )
    if len(table) == 0:
        raise DataError("There are no images to evaluate. Check that the folder or list holds images that can be read.")
    shown = [str(i) for i in range(len(table))] if images is None else [str(name) for name in images]
    true = [true_labels(entry, names, shown[i]) for i, entry in enumerate(truth)]

    # From here on columns are logos alone, in their given order; the column of "none", if there is one, stands apart.
    logos = [name for name in names if name != BACKGROUND]
    sure = table[:, [name != BACKGROUND for name in names]]
    none = table[:, names.index(BACKGROUND)] if BACKGROUND in names else None
    strength = checked_scores(scores, sure, none)
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
    elif groups is not None:
        drawn = Draws([groups[i] for i in logo.tolist()], seed=seed, samples=_SAMPLES)
        interval = drawn.share(right) or interval
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


def _rejected(
    sure: FloatArray64, none: FloatArray64 | None, strength: FloatArray64, threshold: float | None
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


def _top(sure: FloatArray64, options: list[tuple[int, ...]], most: int) -> float:
    ranked = np.argsort(-sure, axis=1, kind="stable")[:, :most].tolist()
    return sum(not set(entry).isdisjoint(best) for entry, best in zip(options, ranked, strict=True)) / len(options)


def _calibration(sure: FloatArray64, none: FloatArray64 | None, options: list[tuple[int, ...]]) -> float:
    best, confidence = np.argmax(sure, axis=1), sure.max(axis=1)
    right = _is_any(best, options)
    if none is not None:
        right, confidence = right & (none <= confidence), np.maximum(none, confidence)
    return expected_calibration_error(np.clip(confidence, 0, 1), right)


def _none_figures(
    strength: FloatArray64, rejected: npt.NDArray[np.bool_], is_logo: npt.NDArray[np.bool_]
) -> NoneFigures:
    return NoneFigures(
        n=int((~is_logo).sum()),
        auroc=auroc(strength[is_logo], strength[~is_logo]),
        false_alarm_rate=float(np.mean(~rejected[~is_logo])),
    )
