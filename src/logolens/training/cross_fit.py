"""Folds of the photos, and heads that have not seen one of them each; and heads that do not know some of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.data import grouped_folds
from logolens.errors import DataError, UsageError
from logolens.io.threads import processors
from logolens.models.head import Examples, Head, fit_head
from logolens.training.left_out import Group, label_groups
from logolens.training.samples import Sample
from logolens.training.task import Task

__all__ = ["LEAST_PHOTOS", "CrossFit", "cross_fit", "heads_on"]

LEAST_PHOTOS = 10
"""With fewer photos nothing can be decided by holding some of them out."""

_FOLDS = 5


@dataclass(frozen=True)
class CrossFit:
    """What is held out together, and the heads that have not seen it.

    Attributes:
        fold_of: the fold of each photo that may be asked about.
        heads: one for each fold.
        groups: labels that are left out to stand in for brands that nobody knows, and heads of the others.
    """

    fold_of: dict[int, int]
    heads: dict[int, Head]
    groups: tuple[Group, ...] = ()


def cross_fit(task: Task, samples: Sequence[Sample], features: npt.NDArray[np.float32], epochs: int) -> CrossFit | None:
    """Folds of the training and validation photos, and for each a head fitted on the others.

    Args:
        task: what is learned from what.
        samples: the views that have features.
        features: one row a sample.
        epochs: how often a head sees them.

    Returns:
        None where there are too few photos, too few groups of them, or a label stands in one fold alone, so that nothing can
        be held out.
    """
    usable = [
        row for row, sample in enumerate(samples) if sample.split in ("train", "val") and sample.label in task.classes
    ]
    # What serves training alone is always learned from, and never asked about.
    pool = sorted({samples[row].photo for row in usable if not samples[row].train_only})
    if len(pool) < LEAST_PHOTOS:
        return None
    fold_of: dict[int, int] = {}
    try:
        folds_of_photos = grouped_folds(task.dataset.subset(pool), _FOLDS, task.settings.seed)
    except UsageError:  # Near copies of a few pictures make fewer groups than folds.
        return None
    for fold, members in enumerate(folds_of_photos):
        fold_of.update({pool[int(member)]: fold for member in members})
    folds = sorted(set(fold_of.values()))
    learned = [[row for row in usable if fold_of.get(samples[row].photo) != fold] for fold in folds]
    heads = heads_on(task, samples, features, learned, epochs)
    if heads is None:
        return None
    return CrossFit(fold_of, dict(zip(folds, heads, strict=True)), _groups(task, samples, features, usable, epochs))


def _groups(
    task: Task, samples: Sequence[Sample], features: npt.NDArray[np.float32], usable: Sequence[int], epochs: int
) -> tuple[Group, ...]:
    """Labels that are left out together, and heads fitted without them; none where that is not asked for, or cannot be."""
    if not task.settings.unknown_brands or BACKGROUND not in task.classes:
        return ()
    left = label_groups(task.dataset.labels, task.settings.pair, task.settings.seed)
    photos = task.dataset.photos
    # Nothing of their photos is learned from, what shows no logo in them included: whose brand is unknown was never seen.
    gone = [{photo.near for photo in photos if labels & set(photo.labels)} for labels in left]
    learned = [[row for row in usable if photos[samples[row].photo].near not in near] for near in gone]
    classes = [[name for name in task.classes if name not in labels] for labels in left]
    heads = heads_on(task, samples, features, learned, epochs, classes)
    return tuple(map(Group, left, heads)) if heads else ()


def heads_on(
    task: Task,
    samples: Sequence[Sample],
    features: npt.NDArray[np.float32],
    learned: Sequence[Sequence[int]],
    epochs: int,
    classes: Sequence[Sequence[str]] | None = None,
) -> list[Head] | None:
    """A head for each choice of samples, fitted on these alone, some at a time.

    Args:
        task: what is learned from what.
        samples: the views that have features.
        features: one row a sample.
        learned: positions of the samples of each head.
        epochs: how often a head sees them.
        classes: the outputs of each head; those of the task if not given.

    Returns:
        None where one of them cannot be fitted.
    """
    outputs = classes or [task.classes] * len(learned)
    done = 0

    def fitted(rows: Sequence[int], names: Sequence[str]) -> Head:
        nonlocal done
        place = {name: position for position, name in enumerate(names)}
        truth = np.array([place[samples[row].label] for row in rows], dtype=np.int64)
        weight = np.array([samples[row].weight for row in rows], dtype=np.float32)
        examples = Examples(features[rows], truth, weight)
        how = task.settings.head_settings()
        head = fit_head(examples, None, len(names), how, background=BACKGROUND in names, epochs=epochs)
        done += 1
        task.on_progress("holding photos out", done, len(learned))
        return head

    try:
        with ThreadPoolExecutor(min(task.settings.threads or processors(), 4)) as threads:
            return list(threads.map(fitted, learned, outputs))
    except DataError:
        return None
