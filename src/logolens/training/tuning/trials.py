"""One trial: settings, held against photos that its heads have not seen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Split, photo_groups
from logolens.io.threads import processors
from logolens.metrics import Draws
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.calibration import calibrate, softmax
from logolens.models.head import Examples, Head, fit_head
from logolens.training.multiview import MultiViewTraining
from logolens.training.samples import Sample, classes_of, features_of, samples_of
from logolens.training.task import Task
from logolens.types import Progress

__all__ = ["Field", "Trial", "Views", "changes"]


_EPOCHS = {"linear": 36, "mlp": 60, "gallery": 0}
"""No part is left to stop the heads by: these are what a training that is stopped by its validation part ends with."""

_ASKED, _REFERENCE = 0.3, 0.2
"""Seconds for a photo that is looked at closer, and for one whose key points are sought, on two slow processors."""

_PROBED = 24
"""Photos that tell how long all of them will take."""


@dataclass(frozen=True)
class Trial:
    """What one set of settings gave.

    Attributes:
        settings: as for `train`.
        top1: the share of held-out whole photos whose best label is right.
        top1_ci95: its 95 % interval, near copies drawn together.
        loss: the mean cross-entropy of held-out photos at the best temperature, in nats.
        right: whether each photo that was asked about was answered rightly, by its position in the data set.
        seconds: how long it took.
        views: "whole", or how photos were looked at closer.
    """

    settings: TrainSettings
    top1: float
    top1_ci95: tuple[float, float] | None
    loss: float
    right: dict[int, bool]
    seconds: float
    views: str = "whole"

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts the best first."""
        return -self.top1, self.loss

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "changes": changes(self.settings),
            "backbone": self.settings.backbone,
            "photos": len(self.right),
            "top1": self.top1,
            "top1_ci95": None if self.top1_ci95 is None else list(self.top1_ci95),
            "loss": self.loss,
            "views": self.views,
            "seconds": round(self.seconds, 2),
        }


def changes(settings: TrainSettings) -> dict[str, Any]:
    """What differs from the defaults of `train`, in the order of its flags."""
    return {
        spec.name: str(value) if not isinstance(value, (str, int, float, bool)) else value
        for spec in dataclasses.fields(settings)
        if (value := getattr(settings, spec.name)) != spec.default
    }


@dataclass(frozen=True)
class Views:
    """The views of all photos through one network, which any head can be tried on."""

    samples: Sequence[Sample]
    features: npt.NDArray[np.float32]
    classes: tuple[str, ...]


def _prepared(settings: TrainSettings) -> tuple[ExportedBackbone, Preprocessing]:
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    return backbone, Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std)


class Field:
    """The photos that may be looked at, divided into folds.

    Args:
        dataset: the photos, built-in backgrounds among them.
        folds: positions in it; photos in none of them are always learned from.
        say: told of the work as it is done.
        threads: processor threads; all of them when None.
    """

    def __init__(
        self,
        dataset: Dataset,
        folds: Sequence[npt.NDArray[np.int64]],
        on_progress: Progress,
        threads: int | None = None,
    ) -> None:
        self.dataset = dataset
        self._fold_of = {int(member): number for number, fold in enumerate(folds) for member in fold}
        self._folds = len(folds)
        self._on_progress = on_progress
        self._threads = threads or processors()
        self._groups = photo_groups(dataset)

    def estimate(self, settings: TrainSettings) -> float:
        """Seconds that the features of these settings would take, from those of a few photos; 0 where they are known."""
        count = len(self.dataset)
        if count <= 2 * _PROBED:
            return 0.0
        chosen = np.random.default_rng(0).permutation(count)[:_PROBED].tolist()
        begin = time.perf_counter()
        self._features(self.dataset.subset(chosen), settings)
        return (time.perf_counter() - begin) * count / _PROBED

    def closer_seconds(self, settings: TrainSettings) -> float:
        """A generous guess at the seconds that looking closer would take: its photos, and the matcher's references."""
        matched = 0.0 if settings.matcher == "off" else _REFERENCE * len(self.dataset)
        return _ASKED * min(600, len(self.dataset)) + matched

    def views(self, settings: TrainSettings) -> Views:
        """The features that these settings need, from the cache where they are in it."""
        samples, features = self._features(self.dataset, settings)
        classes, _ = classes_of(self.dataset, samples, settings)
        return Views(samples, features, classes)

    def _features(self, dataset: Dataset, settings: TrainSettings) -> tuple[list[Sample], npt.NDArray[np.float32]]:
        backbone, preprocessing = _prepared(settings)
        samples = samples_of(dataset, Split(tuple(range(len(dataset))), (), ()), settings)
        return samples, features_of(dataset, samples, backbone, preprocessing, settings, self._on_progress)

    def trial(self, settings: TrainSettings, views: Views, begun: float) -> Trial:
        """Fit a head for each fold on the others, and ask it about the fold's whole photos."""
        samples, classes = views.samples, views.classes
        usable = [row for row, sample in enumerate(samples) if sample.label in classes]
        if not settings.boxes:
            usable = [row for row in usable if samples[row].region is None]
        truth = np.array(
            [classes.index(samples[row].label) if samples[row].label in classes else -1 for row in range(len(samples))]
        )
        fold_of = np.array([self._fold_of.get(sample.photo, -1) for sample in samples])
        rows = np.array(usable)
        asked = [row for row in usable if samples[row].whole and samples[row].label != BACKGROUND and fold_of[row] >= 0]
        logits = np.zeros((len(samples), len(classes)), np.float32)

        def fitted(fold: int) -> None:
            learned = rows[fold_of[rows] != fold]
            examples = Examples(views.features[learned], truth[learned], np.ones(len(learned), np.float32))
            epochs = _EPOCHS[settings.head]
            known = BACKGROUND in classes
            head = fit_head(examples, None, len(classes), settings.head_settings(), background=known, epochs=epochs)
            held = [row for row in asked if fold_of[row] == fold]
            logits[held] = head.logits(views.features[held])

        with ThreadPoolExecutor(min(self._threads, 4)) as threads:
            list(threads.map(fitted, range(self._folds)))
        labels = len([name for name in classes if name != BACKGROUND])
        return self._judged(settings, logits[asked][:, :labels], asked, views, begun, "whole")

    def closer(self, settings: TrainSettings, views: Views) -> Trial | None:
        """Look closer with these settings, at held-out photos as training does; None where too few can be held out."""
        begun = time.perf_counter()
        backbone, preprocessing = _prepared(settings)
        everything = Split(tuple(range(len(self.dataset))), (), ())
        task = Task(self.dataset, everything, tuple(views.classes), settings, self._on_progress)
        training = MultiViewTraining(task.with_network(backbone, preprocessing))
        head = Head((), best_epoch=_EPOCHS[settings.head])
        held_out = training.decide(views.samples, views.features, head, tuned=False)
        if held_out is None:
            return None
        # Only whole photos with a logo are held against the other trials.
        kept = [
            n
            for n, row in enumerate(held_out.rows)
            if views.samples[row].whole and views.samples[row].label != BACKGROUND
        ]
        logits = np.log(np.maximum(held_out.labels[kept], 1e-12))
        rows = [held_out.rows[n] for n in kept]
        return self._judged(settings, logits, rows, views, begun, settings.views)

    def _judged(
        self,
        settings: TrainSettings,
        logits: npt.NDArray[np.floating[Any]],
        rows: Sequence[int],
        views: Views,
        begun: float,
        how: str,
    ) -> Trial:
        """The trial that these logits of the labels give, one row a held-out photo."""
        truth = np.array([views.classes.index(views.samples[row].label) for row in rows])
        right = logits.argmax(axis=1) == truth
        calibration = calibrate(logits, truth, background=False, max_false_alarms=1.0)
        probabilities = softmax(logits / calibration.temperature)[np.arange(len(truth)), truth]
        draws = Draws([self._groups[views.samples[row].photo] for row in rows])
        return Trial(
            settings,
            float(right.mean()),
            draws.share(right),
            float(-np.log(np.maximum(probabilities, 1e-9)).mean()),
            {views.samples[row].photo: bool(hit) for row, hit in zip(rows, right, strict=True)},
            time.perf_counter() - begun,
            how,
        )
