"""What `evaluate` is handed, checked before anything is computed from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import DataError, UsageError
from logolens.metrics.scores import SUM_TOLERANCE
from logolens.types import FloatArray64

__all__ = ["FloatArray64", "Truth", "checked_labels", "checked_probabilities", "checked_scores", "true_labels"]


Truth = int | str | Collection[int] | Collection[str]
"""What one image shows: a label, its position in ``labels``, or several of either."""


def checked_labels(labels: Sequence[str]) -> list[str]:
    """The names of the columns.

    Raises:
        UsageError: one stands twice, or none is a label.
    """
    names = [str(name) for name in labels]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"These labels stand twice: {', '.join(twice)}. Each column needs a name of its own.")
    if not any(name != BACKGROUND for name in names):
        raise UsageError("There is no label to judge; give at least one label other than 'none'.")
    return names


def checked_probabilities(probabilities: npt.ArrayLike, width: int) -> FloatArray64:
    """Probabilities as float64 of shape (n, width).

    Raises:
        UsageError: they have another shape, are not finite, or are no probabilities.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.size == 0 and table.ndim <= 2:
        return table.reshape(0, width)
    if table.ndim != 2 or table.shape[1] != width:
        raise UsageError(f"The probabilities have shape {table.shape}; with {width} labels it must be (n, {width}).")
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(bad):
        raise UsageError(f"Row {bad[0]} of the probabilities holds a value that is not finite. Check what gave them.")
    bad = np.flatnonzero((table.min(axis=1) < -SUM_TOLERANCE) | (np.abs(table.sum(axis=1) - 1) > SUM_TOLERANCE))
    if len(bad):
        raise UsageError(
            f"Row {bad[0]} of the probabilities sums to {table[bad[0]].sum():.4g} with a smallest value of "
            f"{table[bad[0]].min():.4g}; each row must be of values from 0 to 1 that sum to 1. Apply softmax first."
        )
    return table


def checked_scores(scores: npt.ArrayLike | None, sure: FloatArray64, none: FloatArray64 | None) -> FloatArray64:
    """How strongly each image seems to show any logo, float64 of shape (n,); from the probabilities where no scores are given.

    Raises:
        UsageError: they do not fit the images, or one is no number.
    """
    if scores is None:
        return sure.max(axis=1) if none is None else 1 - none
    strength = np.asarray(scores, dtype=np.float64)
    if strength.shape != (len(sure),):
        raise UsageError(f"The scores have shape {strength.shape}; with {len(sure)} images it must be {(len(sure),)}.")
    bad = np.flatnonzero(np.isnan(strength))
    if len(bad):
        raise UsageError(f"The score of image number {bad[0]} is no number; each image needs one.")
    return strength


def true_labels(entry: Truth, names: list[str], image: str) -> tuple[int, ...]:
    """An image's true labels as positions among the logos, in the order given; empty for an image without a logo.

    Raises:
        DataError: it names none, one that is not known, or a label and ``none`` at once.
    """
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
