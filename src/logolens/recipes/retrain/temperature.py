"""Scores that mean what they say: the temperature of the softmax, fitted on photos that the layer has not learned from."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from logolens.data import Dataset, grouped_folds
from logolens.models.calibration import Calibration, calibrate
from logolens.models.head import Examples, Head

__all__ = ["fit_scores"]

_LOG = logging.getLogger(__name__)

_ENOUGH = 50
"""Validation photos from which on they decide alone."""

_FOLDS = 3


def fit_scores(
    head: Head, train: Examples, held: Examples, photos: Dataset, fit: Callable[[Examples], Head]
) -> Calibration:
    """The temperature that makes the scores of unseen photos as sure as they are right.

    With 50 validation photos or more these decide. With fewer the layer is trained again on two thirds of the training
    photos three times, near copies kept together, and its answers on the other third decide.

    Args:
        head: the trained layer.
        train: what it learned from: as many rows for each of ``photos``, those of a photo side by side.
        held: the validation photos.
        photos: the training photos.
        fit: trains a layer on examples.
    """
    if len(held) >= _ENOUGH:
        logits, truth, of = head.logits(held.features), held.truth, f"{len(held)} validation images"
    else:
        found = _out_of_fold(train, photos, fit)
        if found is None:
            return Calibration()
        logits, truth = found
        of = f"{len(truth)} training images, each held out once"
    fitted = calibrate(logits, truth, background=False, max_false_alarms=1.0)
    _LOG.info("Scores are calibrated on %s (temperature %.2f)", of, fitted.temperature)
    return fitted


def _out_of_fold(
    train: Examples, photos: Dataset, fit: Callable[[Examples], Head]
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], np.ndarray[tuple[int, ...], np.dtype[np.int64]]] | None:
    copies = len(train) // len(photos)
    classes = len(np.unique(train.truth))
    groups = len({photo.near for photo in photos.photos})
    if groups < 2 * _FOLDS:
        return None
    logits, truth = [], []
    for fold in grouped_folds(photos, _FOLDS):
        held = np.zeros(len(photos), dtype=bool)
        held[fold] = True
        rows = np.repeat(held, copies)
        if len(np.unique(train.truth[~rows])) < classes:
            return None
        logits.append(fit(_take(train, ~rows)).logits(train.features[rows]))
        truth.append(train.truth[rows])
    return np.concatenate(logits), np.concatenate(truth)


def _take(examples: Examples, rows: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Examples:
    return Examples(examples.features[rows], examples.truth[rows], examples.weight[rows])
