"""Probabilities and truth to figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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

    Raises:
        DataError: there are no images, or one shows a label that is not among `labels`.
        UsageError: the arrays do not fit each other, are not finite, or are no probabilities.
    """
    judged = _judged(probabilities, truth, labels, images, scores)
    if groups is not None and len(groups) != len(judged.sure):
        raise UsageError(_MISFIT.format(len(judged.sure), len(groups), "groups"))
    rejected = _rejected(judged, threshold)
    can_reject = threshold is not None or judged.none is not None
    answers = _answers(judged, rejected if can_reject and not closed else None)
    count, right = len(judged.logo), answers.right
    per_class = {name: _label_figures(answers.confusion, i) for i, name in enumerate(judged.logos)}
    none = None if judged.none is None else judged.none[judged.logo]
    kept = None if groups is None else [groups[i] for i in judged.logo.tolist()]
    return Evaluation(
        n=count,
        top1=float(right.mean()) if count else None,
        top5=_top(judged.sure[judged.logo], judged.options, 5) if count else None,
        top1_ci95=_interval(right, kept) if count else (None, None),
        macro_f1=_mean([figures.f1 for figures in per_class.values() if figures.f1 is not None]),
        ece=_calibration(judged.sure[judged.logo], none, judged.options) if count else None,
        per_class=per_class,
        confusion=tuple(tuple(counts) for counts in answers.confusion.tolist()),
        labels=answers.order,
        misclassified=_misclassified(judged, answers),
        none=None if judged.is_logo.all() else _none_figures(judged.strength, rejected, judged.is_logo),
        missed=float(rejected[judged.logo].mean()) if count and can_reject else None,
    )


_MISFIT = "There are {} rows of probabilities and {} entries in {}; give one for each."


@dataclass(frozen=True)
class _Judged:
    """What is judged, held against one another. Columns are logos alone, in their given order; ``none`` stands apart.

    Attributes:
        logos: the labels but ``none``.
        sure: the probabilities of each, of shape (n, logos).
        none: that of ``none``, of shape (n,); None where it is no label.
        strength: how strongly each image seems to show any logo.
        shown: what each image is called.
        true: the positions of each image's true labels; of none where it shows none.
    """

    logos: tuple[str, ...]
    sure: FloatArray64
    none: FloatArray64 | None
    strength: FloatArray64
    shown: tuple[str, ...]
    true: tuple[tuple[int, ...], ...]

    @cached_property
    def is_logo(self) -> npt.NDArray[np.bool_]:
        """Which images show a logo."""
        return np.array([bool(entry) for entry in self.true], dtype=np.bool_)

    @cached_property
    def logo(self) -> npt.NDArray[np.int64]:
        """The positions of these."""
        return np.flatnonzero(self.is_logo)

    @cached_property
    def options(self) -> list[tuple[int, ...]]:
        """What each of these may be answered with."""
        return [self.true[i] for i in self.logo.tolist()]


def _judged(
    probabilities: npt.ArrayLike,
    truth: Sequence[Truth],
    labels: Sequence[str],
    images: Sequence[str] | None,
    scores: npt.ArrayLike | None,
) -> _Judged:
    names = checked_labels(labels)
    table = checked_probabilities(probabilities, len(names))
    for what, values in (("truth", truth), ("images", images)):
        if values is not None and len(values) != len(table):
            raise UsageError(_MISFIT.format(len(table), len(values), what))
    if len(table) == 0:
        raise DataError("There are no images to evaluate. Check that the folder or list holds images that can be read.")
    shown = tuple(map(str, range(len(table)) if images is None else images))
    true = tuple(true_labels(entry, names, shown[i]) for i, entry in enumerate(truth))
    sure = table[:, [name != BACKGROUND for name in names]]
    none = table[:, names.index(BACKGROUND)] if BACKGROUND in names else None
    logos = tuple(name for name in names if name != BACKGROUND)
    return _Judged(logos, sure, none, checked_scores(scores, sure, none), shown, true)


@dataclass(frozen=True)
class _Answers:
    """What the images that show a logo were answered with.

    Attributes:
        order: of the rows and columns of the confusion matrix; only a model that can say ``none`` has one for it, the last.
        answer: positions in that order.
        row: where each image stands.
        right: whether the answer is one of its labels.
        confidence: of the answer.
        confusion: how often each was answered with each.
    """

    order: tuple[str, ...]
    answer: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]
    confidence: FloatArray64
    confusion: npt.NDArray[np.int64]


def _answers(judged: _Judged, rejected: npt.NDArray[np.bool_] | None) -> _Answers:
    """The answers; ``rejected`` says which images are answered with ``none``, and is None where none may be."""
    logo, options = judged.logo, judged.options
    answer = np.argmax(judged.sure, axis=1)[logo]
    confidence = judged.sure[logo, answer]
    order = judged.logos
    if rejected is not None:
        order = (*order, BACKGROUND)
        # Of "none" without a column of its own: what the best label lacks to 1.
        instead = 1 - confidence if judged.none is None else judged.none[logo]
        confidence = np.where(rejected[logo], instead, confidence)
        answer = np.where(rejected[logo], len(judged.logos), answer)
    right = _is_any(answer, options)
    row = np.where(right, answer, np.array([entry[0] for entry in options], dtype=np.int64))
    confusion = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(confusion, (row, answer), 1)
    return _Answers(order, answer, row, right, confidence, confusion)


def _misclassified(judged: _Judged, answers: _Answers) -> tuple[Misclassified, ...]:
    """The wrong answers, the surest first."""
    wrong = [
        Misclassified(
            judged.shown[judged.logo[j]],
            answers.order[answers.row[j]],
            answers.order[answers.answer[j]],
            float(np.clip(answers.confidence[j], 0, 1)),
        )
        for j in np.flatnonzero(~answers.right)
    ]
    return tuple(sorted(wrong, key=lambda entry: -entry.confidence))


def _interval(right: npt.NDArray[np.bool_], groups: Sequence[object] | None) -> tuple[float | None, float | None]:
    if groups is None:
        return wilson_interval(int(right.sum()), len(right))
    return Draws(groups, samples=_SAMPLES).share(right) or (None, None)


def _rejected(judged: _Judged, threshold: float | None) -> npt.NDArray[np.bool_]:
    """Which images are answered with ``none``."""
    sure, none = judged.sure, judged.none
    if threshold is None:
        return np.zeros(len(sure), dtype=np.bool_) if none is None else none > sure.max(axis=1)
    if threshold != threshold:
        raise UsageError("The threshold is no number; give the score from which on images are answered with a label.")
    return judged.strength < threshold


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
