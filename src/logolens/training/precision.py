"""Which numbers the network computes in: decided once, before anything is learned from its features, so that what is measured is
what will answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset
from logolens.data.builtin_backgrounds import is_builtin
from logolens.errors import DataError, ImageError, UsageError
from logolens.io.images import read_known
from logolens.io.views import WHOLE, View, cut
from logolens.metrics import Draws, compare
from logolens.models.backbones import ExportedBackbone, quantise
from logolens.models.head import Head
from logolens.models.quantise import speed_ratio
from logolens.models.session import Session
from logolens.training.samples import Picker, Sample, features_of
from logolens.types import FloatArray32, Progress

__all__ = ["LEAST_HELD_OUT", "LEAST_SPEED", "Precision", "Viewed", "calibration", "choose_precision"]

LEAST_SPEED = 1.3
"""How many times as fast as at float32 a network must run at int8 for auto to take it."""

LEAST_HELD_OUT = 50
"""Validation photos below which auto does not believe that nothing is lost."""

_PHOTOS = 32
"""Training photos that ranges are taken from, each as a whole and in one closer view."""


@dataclass(frozen=True)
class Precision:
    """What was decided.

    Attributes:
        backbone: the network as it will be trained on and answer.
        facts: for the manifest; None where nothing else than float32 was asked.
        note: the decision and why, a sentence; None as above.
    """

    backbone: ExportedBackbone
    facts: dict[str, Any] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Viewed:
    """Where a network looks in training.

    Attributes:
        dataset: the photos.
        samples: their views, with labels and splits.
        classes: the head's outputs.
        preprocessing: how a view becomes the network's input.
        settings: of the training.
    """

    dataset: Dataset
    samples: Sequence[Sample]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    settings: TrainSettings

    def features(
        self, backbone: ExportedBackbone, *splits: str, progress: Progress
    ) -> tuple[list[Sample], FloatArray32]:
        """The views of these splits, and their features."""
        samples = [sample for sample in self.samples if sample.split in splits]
        return samples, features_of(self.dataset, samples, backbone, self.preprocessing, self.settings, progress)


def choose_precision(
    backbone: ExportedBackbone,
    viewed: Viewed,
    fit: Callable[[Picker], Head] | Head,
    progress: Progress,
) -> Precision:
    """The network at the precision that the settings ask for; at auto both are tried.

    Args:
        backbone: at float32.
        viewed: the views that are learned from and those that judge.
        fit: fits a head on the training views and stops it by the validation views; or a head that is there already, whose
            network was trained together with it.
        progress: told of the work as it is done.

    Raises:
        UsageError: int8 is asked for, and the network cannot be had so.
        DataError: int8 is asked for, and there are too few photos to take ranges from.
        ImageError: a photo cannot be read any more.
    """
    asked = viewed.settings.precision
    if asked == "float32":
        return Precision(backbone)
    judged = _judged(viewed)
    if asked == "auto" and len(judged) < LEAST_HELD_OUT:
        few = f"{len(judged)} validation photos are too few to see what int8 loses, and {LEAST_HELD_OUT} are asked."
        return _kept(backbone, few, {})
    progress("quantising the network", 0, 1)
    try:
        images, _ = calibration(viewed)
        small = quantise(backbone, images)
    except (UsageError, DataError) as error:
        if asked == "int8":
            raise
        return _kept(backbone, str(error), {})
    plain, eight = (
        Session(network.path, viewed.preprocessing, outputs=("features",), device=viewed.settings.device)
        for network in (backbone, small)
    )
    speed = round(speed_ratio(plain, eight, images), 2)
    progress("quantising the network", 1, 1)
    facts = {"speed": speed, "cosine": small.cosine, "calibrated_on": len(images)}
    if asked == "int8":
        return _taken(small, f"it was asked for; where it was trained it runs {_times(speed)}", facts)
    if speed < LEAST_SPEED:
        return _kept(
            backbone, f"Where it was trained int8 runs {_times(speed)}, and {LEAST_SPEED:g} times is asked.", facts
        )
    return _as_right(backbone, small, viewed, judged, fit, facts, progress)


def _as_right(
    backbone: ExportedBackbone,
    small: ExportedBackbone,
    viewed: Viewed,
    judged: Sequence[int],
    fit: Callable[[Picker], Head] | Head,
    facts: dict[str, Any],
    progress: Progress,
) -> Precision:
    """The quantised network, where validation photos are answered as well with it."""
    before, after = (_right(network, viewed, judged, fit, progress) for network in (backbone, small))
    held = _held(viewed)
    groups = [viewed.dataset.photos[held[row].photo].near for row in judged]
    interval = Draws(groups).share(before)
    paired = compare(after, before, groups)
    facts = facts | {
        "photos": len(judged),
        "top1_float32": float(before.mean()),
        "top1_float32_ci95": None if interval is None else list(interval),
        "top1_int8": float(after.mean()),
    }
    low, high = interval or (1.0, 1.0)
    gap = paired.difference_ci95
    said = (
        f"of {len(judged)} validation photos {after.sum()} are answered rightly at int8 and {before.sum()} at float32 "
        f"({before.mean():.1%}, 95 % interval {low:.1%} to {high:.1%})"
    )
    if after.mean() < low or (gap is not None and gap[1] < 0):
        return _kept(backbone, f"int8 loses too much: {said}.", facts)
    return _taken(small, f"where it was trained it runs {_times(facts['speed'])}, and {said}", facts)


def _held(viewed: Viewed) -> list[Sample]:
    return [sample for sample in viewed.samples if sample.split == "val"]


def _judged(viewed: Viewed) -> list[int]:
    """Positions among the validation views of the whole photos that show a logo."""
    return [
        row
        for row, sample in enumerate(_held(viewed))
        if sample.whole and sample.label in viewed.classes and sample.label != BACKGROUND
    ]


def _right(
    network: ExportedBackbone,
    viewed: Viewed,
    judged: Sequence[int],
    fit: Callable[[Picker], Head] | Head,
    progress: Progress,
) -> npt.NDArray[np.bool_]:
    """Whether each judged validation view is answered rightly with this network."""
    held, features = viewed.features(network, "val", progress=progress)
    if isinstance(fit, Head):
        head = fit
    else:
        learned, more = viewed.features(network, "train", progress=progress)
        head = fit(Picker([*learned, *held], np.concatenate([more, features]), viewed.classes))
    labels = [place for place, name in enumerate(viewed.classes) if name != BACKGROUND]
    best = head.logits(features[list(judged)])[:, labels].argmax(axis=1)
    return np.array([viewed.classes[labels[place]] == held[row].label for place, row in zip(best, judged, strict=True)])


def calibration(viewed: Viewed) -> tuple[npt.NDArray[np.uint8], frozenset[int]]:
    """Views of a few training photos, which ranges are taken from, label by label in turn.

    Returns:
        uint8 of shape (n, size, size, 3), and the photos' positions in the data set.

    Raises:
        ImageError: a photo cannot be read any more.
    """
    views: dict[int, list[View]] = defaultdict(list)
    for sample in viewed.samples:
        if sample.split == "train":
            views[sample.photo].append(sample.view)
    photos = viewed.dataset.photos
    of_label: dict[str, list[int]] = defaultdict(list)
    for number in sorted(views, key=lambda number: photos[number].sha256):
        if not is_builtin(photos[number]):
            of_label[photos[number].label].append(number)
    turns = [(place, label, number) for label, numbers in of_label.items() for place, number in enumerate(numbers)]
    squares: list[npt.NDArray[np.uint8]] = []
    chosen = [number for _, _, number in sorted(turns)[:_PHOTOS]]
    for number in chosen:
        path = photos[number].path
        closer = [view for view in views[number] if view != WHOLE][-1:]
        try:
            squares += cut(read_known(path, photos[number].sha256), (WHOLE, *closer), viewed.preprocessing)
        except ImageError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ImageError(f"{path}: {reason}") from error
    size = viewed.preprocessing.size
    return np.stack(squares) if squares else np.zeros((0, size, size, 3), np.uint8), frozenset(chosen)


def _times(speed: float) -> str:
    return f"{speed:.2f} times as fast as at float32"


def _taken(small: ExportedBackbone, reason: str, facts: dict[str, Any]) -> Precision:
    note = f"The network computes at int8: {reason}. Its features' cosine with those at float32 is {small.cosine:.3f}."
    return Precision(small, {"taken": "int8", "reason": note, **facts}, note)


def _kept(backbone: ExportedBackbone, reason: str, facts: dict[str, Any]) -> Precision:
    note = f"The network computes at float32. {reason}"
    return Precision(backbone, {"taken": "float32", "reason": note, **facts}, note)
